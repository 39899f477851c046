"""What tokens may choose, for tests of bounds."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def choices(draw, *, least_k: int = 1, most_experts: int = 7):
    """The k distinct experts of some tokens, (T, k), and how many experts there are."""
    n_experts = draw(st.integers(max(2, least_k), most_experts))
    top_k = draw(st.integers(least_k, n_experts))
    token = st.permutations(range(n_experts)).map(lambda order: order[:top_k])
    return np.array(draw(st.lists(token, min_size=1, max_size=40))), n_experts
