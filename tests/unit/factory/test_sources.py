"""What each source of products gives, and which of its faults are named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory.errors import SourceUnreadable
from factory.sources import readers
from factory.sources.delimited import Dialect
from factory.sources.readers import COLUMNS, ColumnMapping, read_file, read_rakuten, read_sample

MAPPING = ColumnMapping(id="id", text="title", label="kind")


def together(batches: object) -> pd.DataFrame:
    return pd.concat(list(batches), ignore_index=True)  # type: ignore[call-overload]


def test_the_sample_is_5612_goods_in_21_sections() -> None:
    frame = together(read_sample())
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 5612
    assert frame["prdtypecode"].nunique() == 21
    assert frame["productid"].str.fullmatch(r"\d{6}").all()
    assert frame["productid"].is_unique
    assert frame.set_index("productid").loc["010121", "designation"] == "Horses; live, pure-bred breeding animals"


def test_rakuten_files_are_joined_by_index_and_may_lack_descriptions(tmp_path: Path) -> None:
    (tmp_path / "X_train_update.csv").write_text(
        ",designation,description,productid,imageid\n"
        "0,Olivia: carnet,,3804725264,1263597046\n"
        '1,"Journal ""Arts"", n° 133",<p>Vu &amp; lu</p>,436067568,1008141237\n',
        encoding="utf-8",
    )
    (tmp_path / "Y_train_CVw08PX.csv").write_text(",prdtypecode\n1,2280\n0,10\n")
    first, second = together(read_rakuten(tmp_path)).to_dict("records")
    assert first == {
        "productid": "3804725264",
        "designation": "Olivia: carnet",
        "description": None,
        "imageid": "1263597046",
        "group_id": None,
        "prdtypecode": "10",
    }
    assert second["designation"] == 'Journal "Arts", n° 133'
    assert second["prdtypecode"] == "2280"


def test_a_rakuten_product_without_label_is_named(tmp_path: Path) -> None:
    (tmp_path / "X_train.csv").write_text(",designation,description,productid,imageid\n0,a,,1,1\n1,b,,2,2\n")
    (tmp_path / "Y_train.csv").write_text(",prdtypecode\n0,10\n")
    with pytest.raises(SourceUnreadable, match="1 products without prdtypecode, the first is row 2"):
        together(read_rakuten(tmp_path))


def test_a_folder_without_rakutens_files_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"exactly one X_train\*\.csv, found: none"):
        together(read_rakuten(tmp_path))


def test_texts_that_look_like_missing_values_stay_texts_where_one_says_so(tmp_path: Path) -> None:
    (tmp_path / "goods.csv").write_text("id,title,kind\n001,NA,null\n002,nan,None\n")
    frame = together(read_file(tmp_path / "goods.csv", MAPPING, nulls=["-"]))
    assert frame[["productid", "designation", "prdtypecode"]].values.tolist() == [
        ["001", "NA", "null"],
        ["002", "nan", "None"],
    ]


@pytest.mark.parametrize(
    "spelling", ["", " ", "NULL", "null", "nan", "NaN", "None", "N/A", " n/a ", "<NA>", "#N/A", "\\N"]
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_label_is_no_class_however_it_is_spelled(tmp_path: Path, spelling: str, suffix: str) -> None:
    frame = pd.DataFrame({"id": ["1", "2"], "title": ["a", "b"], "kind": ["k", spelling]})
    path = tmp_path / f"goods.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    told: list[str] = []
    assert together(read_file(path, MAPPING, told=told.append))["prdtypecode"].tolist() == ["k", None]
    assert (
        told[-1] == f"missing in kind: 1 {spelling.strip()!r}; without label a product is scored and never trained on"
    )


def test_what_was_guessed_and_taken_for_missing_is_told(tmp_path: Path) -> None:
    (tmp_path / "goods.tsv").write_text('id\ttitle\tkind\tmore\n1\t"a\tb\nc"\tk\tN/A\n2\td\tk\t\n', encoding="utf-16")
    told: list[str] = []
    mapping = ColumnMapping("id", "title", "kind", description="more")
    frame = together(read_file(tmp_path / "goods.tsv", mapping, told=told.append))
    assert frame["designation"].tolist() == ["a\tb\nc", "d"]
    assert frame["description"].tolist() == [None, None]
    assert told == [
        'goods.tsv: read as UTF-16, separator tab, quote "; 2 rows of 4 lines, 1 of them within quoted fields',
        "missing in more: 1 'N/A', 1 ''",
    ]


@pytest.mark.parametrize(
    "mapping",
    [
        ColumnMapping(id="c0", text="c1", label="c3", group="c2", headerless=True),
        ColumnMapping(id="key", text="name", label="class", group="set", columns=("key", "name", "set", "class")),
    ],
)
def test_a_file_without_header_has_numbered_or_given_columns(tmp_path: Path, mapping: ColumnMapping) -> None:
    path = tmp_path / "goods.csv.gz"
    path.write_bytes(gzip.compress(b"1,drill,9,tools\n2,hammer,9,tools\n"))
    frame = together(read_file(path, mapping))
    assert frame["productid"].tolist() == ["1", "2"]
    assert frame["group_id"].tolist() == ["9", "9"]
    assert frame["prdtypecode"].tolist() == ["tools", "tools"]


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1, 2], "title": ["a", "b"], "kind": [10, 20], "other": [0.5, None]}).to_parquet(
        tmp_path / "goods.parquet"
    )
    frame = together(read_file(tmp_path / "goods.parquet", MAPPING))
    assert frame[["productid", "designation", "prdtypecode"]].values.tolist() == [["1", "a", "10"], ["2", "b", "20"]]
    assert frame["imageid"].tolist() == [None, None]


def test_batches_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BATCH_ROWS", 3)
    (tmp_path / "goods.csv").write_text("id,title,kind\n" + "".join(f"{i},t{i},k\n" for i in range(8)))
    assert [len(batch) for batch in read_file(tmp_path / "goods.csv", MAPPING)] == [3, 3, 2]


@pytest.mark.parametrize("name", ["goods.csv", "goods.parquet"])
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"id": ["1"], "name": ["a"]})
    if name.endswith("csv"):
        frame.to_csv(tmp_path / name, index=False)
    else:
        frame.to_parquet(tmp_path / name)
    with pytest.raises(SourceUnreadable, match="no column 'title', 'kind'; there are: id, name"):
        together(read_file(tmp_path / name, MAPPING))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,title,kind\n1,a,k\n ,b,k\n", "1 products without productid, the first is row 2"),
        (b"id,title,kind\n1,,k\n2, ,k\n", "2 products without designation, the first is row 1"),
        (b"id,title,kind\n1,\xff\xfe,k\n", r"line 2: b'\\xff\\xfe,k' is no UTF-8: name the file's encoding"),
        (b"id,title,kind\n1,Chair, oak,Furniture\n", "line 2 has 4 fields, the header 3: '1,Chair, oak,Furniture'"),
        (b"id,title,kind\n1,a,k\n2,b,k,\n", "line 3 has 4 fields"),
        (b"id,title,kind\n1,a\n", "line 2 has 2 fields"),
        (b"id,title,kind\n1,a,k\n\n2,b,k\n", "line 3: the line is empty, and rows follow"),
        (b"id,title,kind\n1,a,k\nid,title,kind\n2,b,k\n", "line 3: the header stands here again"),
        (b"id,title,title,kind\n1,a,b,k\n", "line 1: the header names 'title' more than once"),
        (b"id,title,kind\n1,a\x00b,k\n", "line 2: a NUL character"),
        (b'id,title,kind\n1,"a,k\n2,b,k\n', "line 2: a quote opens here and is never closed: '1,\"a,k"),
        (b'id,title,kind\n1,"a"b,k\n', "line 2: a quote stands where none may stand"),
        (b'id,title,kind\n1,"a,k\n2,b",k\n3,c,k\n', "line 2: a quoted field goes on to line 3, which looks like a row"),
        (b"id,title,kind\r1,a,k\r2,b,k\r", "a carriage return stands in a field without quotes"),
        (b"id;title;kind\n1;a;k,\n2;b\n", "line 3 has 2 fields, the header 3"),
        (b'id,title,kind\nB00TZY8,"a,k\nB0A4E,b",k\n', "line 2: a quoted field goes on to line 3"),
        (b'id,title,kind\n1f9e,"a,k\n9bc2,b",k\n', "line 2: a quoted field goes on to line 3"),
        (b'id,title,more,kind\n1,"a,x,k\n2,b","c, d",k\n', "line 2: a quoted field goes on to line 3"),
        (b"id,title,kind\n1,a,k\nID, Title,Kind\n2,b,k\n", "line 3: the header stands here again"),
        (b"id,title,kind\n1,a,k\n\xef\xbb\xbfid,title,kind\n2,b,k\n", "line 3: a byte order mark.*two files joined"),
        (
            b'id,title,kind\n1,"a\nb",k\n2,None,k\n',
            r"row 2 \(line 4\): complete .*'None' is no missing value, .*--null",
        ),
        (b"", "goods.csv is empty"),
    ],
)
def test_rubbish_in_a_file_is_one_clear_error(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "goods.csv").write_bytes(content)
    with pytest.raises(SourceUnreadable, match=said):
        together(read_file(tmp_path / "goods.csv", MAPPING))


def test_a_quoted_field_may_hold_lines_like_rows_where_one_says_so(tmp_path: Path) -> None:
    (tmp_path / "goods.csv").write_text('id,title,kind\n1,"a,k\n2,b",k\n')
    frame = together(read_file(tmp_path / "goods.csv", MAPPING, Dialect(line_breaks=True)))
    assert frame["designation"].tolist() == ["a,k\n2,b"]


def test_separator_encoding_and_quote_are_as_one_says(tmp_path: Path) -> None:
    (tmp_path / "goods.csv").write_bytes(
        'id;title;kind\n1;"5"; Zoll, breit;k\n'.replace('5";', '5" \xe4').encode("cp1252")
    )
    frame = together(read_file(tmp_path / "goods.csv", MAPPING, Dialect(";", "cp1252", quote="")))
    assert frame["designation"].tolist() == ['"5" \xe4 Zoll, breit']


def packed(path: Path, content: bytes) -> bytes:
    if path.suffix == ".zip":
        with zipfile.ZipFile(archive := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("goods.csv", content)
        return archive.getvalue()
    if path.suffix == ".zst":
        return bytes(pa.compress(content, "zstd", asbytes=True))
    compress: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    return compress[path.suffix](content)


GOODS = b"id,title,kind\n" + b"".join(b"%d,%x thing,k\n" % (row, row * 7919 % 10**9) for row in range(20_000))
PACKED = pytest.mark.parametrize("name", ["goods.gz", "goods.bz2", "goods.xz", "goods.zst", "goods.zip"])


@PACKED
def test_compressed_files_are_read_whatever_they_are_called(tmp_path: Path, name: str) -> None:
    content = packed(tmp_path / name, GOODS)
    for called in (name, "goods.csv"):
        (tmp_path / called).write_bytes(content)
        assert len(together(read_file(tmp_path / called, MAPPING))) == 20_000


@PACKED
@pytest.mark.parametrize("fault", ["cut", "rotten", "text"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, name: str, fault: str) -> None:
    content = packed(tmp_path / name, GOODS)
    middle = len(content) // 2
    broken = {
        "cut": content[:middle],
        "rotten": content[:middle]
        + bytes(byte ^ 0xFF for byte in content[middle : middle + 64])
        + content[middle + 64 :],
        "text": GOODS,
    }[fault]
    (tmp_path / name).write_bytes(broken)
    said = "is called .* and is not compressed" if fault == "text" else "cannot be unpacked to its end|damaged"
    with pytest.raises(SourceUnreadable, match=said):
        together(read_file(tmp_path / name, MAPPING))


STREAMS = ("goods.gz", "goods.bz2", "goods.xz", "goods.zst")


@pytest.mark.parametrize("name", STREAMS)
def test_streams_one_after_another_are_one_file_and_what_follows_them_is_not_passed_over(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(packed(path, GOODS) + packed(path, b"90000,one more,k\n"))
    assert len(together(read_file(path, MAPPING))) == 20_001
    path.write_bytes(packed(path, GOODS) + b"90000,one more,k\n")
    with pytest.raises(SourceUnreadable, match="cannot be unpacked to its end"):
        together(read_file(path, MAPPING))


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "goods.zip", "w") as file:
        file.writestr("a.csv", "id,title,kind")
        file.writestr("b.csv", "id,title,kind")
    with pytest.raises(SourceUnreadable, match=r"exactly one file, found: a\.csv, b\.csv"):
        together(read_file(tmp_path / "goods.zip", MAPPING))


DATED = ColumnMapping(id="id", text="title", label="kind", created_at="since")
WRITTEN = {
    "2026-02-01": datetime(2026, 2, 1, tzinfo=UTC),
    "2026-02-01 12:30": datetime(2026, 2, 1, 12, 30, tzinfo=UTC),
    "2026-02-01T12:30:05.25Z": datetime(2026, 2, 1, 12, 30, 5, 250_000, tzinfo=UTC),
    "2026-02-01T00:30:00+01:00": datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
}


def test_a_column_says_when_products_were_created_and_utc_is_told_where_no_zone_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "BATCH_ROWS", 3)
    rows = [f"{n},chair,k,{written}\n" for n, written in enumerate(WRITTEN)]
    (tmp_path / "goods.csv").write_text("id,title,kind,since\n" + "".join(rows))
    told: list[str] = []
    frame = together(read_file(tmp_path / "goods.csv", DATED, told=told.append))
    assert frame["created_at"].tolist() == list(WRITTEN.values())
    assert told[1:] == ["since: 2 moments name no zone and were taken for UTC"]


@pytest.mark.parametrize(
    "written",
    [
        *("yesterday", "", "NULL", "20260201", "1769904000", "01.02.2026", "02/01/2026", "2026-02-30"),
        *("2026-W05-1", "2026-02-01T25:00", "2026-02-01T12:00 CET", "0001-01-01T00:00+05:00", "2026-02-01x12:00"),
    ],
)
def test_a_moment_that_is_none_is_refused_with_its_line_and_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.setattr(readers, "BATCH_ROWS", 2)
    rows = '1,"a chair\nof oak",k,2026-02-01\n2,b,k,2026-02-01\n3,c,k,' + written
    (tmp_path / "goods.csv").write_text(f"id,title,kind,since\n{rows}\n")
    with pytest.raises(SourceUnreadable, match=re.escape(f"goods.csv, line 5: {written!r} in since is no moment")):
        together(read_file(tmp_path / "goods.csv", DATED))


def test_parquet_may_hold_moments_days_or_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BATCH_ROWS", 2)
    noon = datetime(2026, 2, 1, 12, tzinfo=UTC)
    goods = {"id": ["1", "2", "3"], "title": ["a", "b", "c"], "kind": ["k", "k", "k"]}
    kinds = [pa.timestamp("ns", "Europe/Paris"), pa.timestamp("us", "UTC"), pa.timestamp("ms"), pa.date32()]
    for kind in kinds:
        table = pa.table({**goods, "since": pa.array([noon] * 3).cast(kind)})
        pq.write_table(table, tmp_path / "goods.parquet")
        frame = together(read_file(tmp_path / "goods.parquet", DATED))
        assert set(frame["created_at"]) == {noon if pa.types.is_timestamp(kind) else noon.replace(hour=0)}
    pq.write_table(pa.table({**goods, "since": [*[*WRITTEN][:2], "soon"]}), tmp_path / "goods.parquet")
    with pytest.raises(SourceUnreadable, match="row 3: 'soon' in since is no moment"):
        together(read_file(tmp_path / "goods.parquet", DATED))


def test_a_text_that_no_database_takes_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["1"], "title": ["a\x00b"], "kind": ["k"]}).to_parquet(tmp_path / "goods.parquet")
    with pytest.raises(SourceUnreadable, match="NUL character in designation"):
        together(read_file(tmp_path / "goods.parquet", MAPPING))


def test_a_file_that_is_not_there_or_not_parquet_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="there is no such file"):
        together(read_file(tmp_path / "goods.csv", MAPPING))
    (tmp_path / "goods.parquet").write_text("id,title,kind")
    with pytest.raises(SourceUnreadable, match="cannot be read as Parquet"):
        together(read_file(tmp_path / "goods.parquet", MAPPING))


def test_a_wrong_number_of_column_names_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "goods.csv").write_text("1,a,k\n")
    with pytest.raises(SourceUnreadable, match="has 3 columns, 4 were named"):
        together(
            read_file(
                tmp_path / "goods.csv", ColumnMapping("id", "title", "kind", columns=("id", "title", "kind", "x"))
            )
        )


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        ("id,title,kind\n1,a,k\n", ("id", "title", "kind"), "line 1: the names of the columns stand here as a row"),
        ("1,a,b,k\n", ("id", "title", "title", "kind"), "names 'title' more than once"),
    ],
)
def test_names_that_a_file_has_itself_or_that_stand_twice_are_refused(
    tmp_path: Path, content: str, columns: tuple[str, ...], said: str
) -> None:
    (tmp_path / "goods.csv").write_text(content)
    with pytest.raises(SourceUnreadable, match=said):
        together(read_file(tmp_path / "goods.csv", ColumnMapping("id", "title", "kind", columns=columns)))


def test_named_columns_tell_the_separator(tmp_path: Path) -> None:
    (tmp_path / "goods.csv").write_text("1|a chair, oak, old, heavy|k\n")
    frame = together(
        read_file(tmp_path / "goods.csv", ColumnMapping("id", "title", "kind", columns=("id", "title", "kind")))
    )
    assert frame["designation"].tolist() == ["a chair, oak, old, heavy"]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-8-sig", None])
def test_a_files_mark_is_no_part_of_its_first_value(tmp_path: Path, encoding: str | None) -> None:
    (tmp_path / "goods.csv").write_bytes(b"\xef\xbb\xbf1,a,k\n2,b,k\n")
    mapping = ColumnMapping("c0", "c1", "c2", headerless=True)
    frame = together(read_file(tmp_path / "goods.csv", mapping, Dialect(encoding=encoding)))
    assert frame["productid"].tolist() == ["1", "2"]


def test_a_parquet_file_that_names_a_column_twice_or_holds_no_utf8_is_refused(tmp_path: Path) -> None:
    pq.write_table(
        pa.table([["1"], ["a"], ["b"], ["k"]], names=["id", "title", "title", "kind"]), tmp_path / "goods.pq"
    )
    with pytest.raises(SourceUnreadable, match="more than one column 'title'"):
        together(read_file(tmp_path / "goods.pq", MAPPING))
    latin = pa.StringArray.from_buffers(1, pa.py_buffer(b"\x00\x00\x00\x00\x02\x00\x00\x00"), pa.py_buffer(b"\xff\xfe"))
    for titles in (latin, pa.array([b"\xff\xfe"])):
        pq.write_table(pa.table({"id": ["1"], "title": titles, "kind": ["k"]}), tmp_path / "goods.pq")
        with pytest.raises(SourceUnreadable, match="rows 1 to 1: 'title' holds what is no text in UTF-8"):
            together(read_file(tmp_path / "goods.pq", MAPPING))
