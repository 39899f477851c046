from pathlib import Path

from moe_lab.corpus import entries, files


def test_a_file_is_labelled_by_its_name_without_its_ending(tmp_path: Path):
    assert files("/x/domain.code.txt") == {"domain.code": Path("/x/domain.code.txt")}
    assert files({"b": "/x/1", "a": "/x/2"}) == {"b": Path("/x/1"), "a": Path("/x/2")}
    assert list(files({"b": "1", "a": "2"})) == ["b", "a"]


def test_a_folder_is_its_regular_files_by_name(tmp_path: Path):
    for name in ("b.txt", "a.md", ".hidden", "B.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.txt").touch()
    (tmp_path / "link.txt").symlink_to(tmp_path / "deeper" / "c.txt")
    (tmp_path / "broken.txt").symlink_to(tmp_path / "gone.txt")
    assert [file.name for file in entries(tmp_path)] == ["B.txt", "a.md", "b.txt", "link.txt"]
    assert list(files(str(tmp_path))) == ["B", "a", "b", "link"]
