"""Vega, Vega-Lite and vega-embed as one JavaScript, from the package that draws figures without a browser."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PRINT = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


@contextmanager
def starting() -> Iterator[Callable[[], str]]:
    """Makes the script in another process, since it takes seconds and would hold this one; what is given waits for it.

    The script sets `vega`, `vegaLite` and `vegaEmbed`.
    """
    with subprocess.Popen([sys.executable, "-c", _PRINT], stdout=subprocess.PIPE) as process:
        try:
            yield lambda: _text(process)
        finally:
            process.kill()  # nobody waits for it any more


def _text(process: subprocess.Popen[bytes]) -> str:
    written, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"vl_convert has left with {process.returncode}")
    return inline(written.decode())


def inline(script: str) -> str:
    r"""JavaScript as it may stand in a page: `</script` and `<!--` occur in its strings alone, where `<\` is `<`."""
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")
