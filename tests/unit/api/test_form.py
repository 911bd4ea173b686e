"""Multipart forms: one text field read and replaced, the rest byte for byte."""

import time

import pytest

from gollamas.api.form import Form, parse, query_value, trouble

TYPE = b"multipart/form-data; boundary=XX"
AUDIO = b"RIFF\x00\xff\r\n\r\n--X\r\n--\r\nWAVE"


def part(head: bytes, value: bytes, boundary: bytes = b"XX") -> bytes:
    """Make one part of a form."""
    return b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def field(name: bytes, value: bytes) -> bytes:
    """Make a part that is a text field."""
    return part(b'Content-Disposition: form-data; name="' + name + b'"', value)


FILE = part(
    b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav', AUDIO
)
END = b"--XX--\r\n"
FORM = FILE + field(b"model", b"whisper") + field(b"language", b"de") + END


def form_of(body: bytes, content_type: bytes = TYPE, name: str = "model") -> Form:
    """Read a form that has to be one."""
    form = parse(content_type, body, name)
    assert form is not None
    return form


def changed(form: Form, text: str) -> bytes:
    """Give the form with another text in its field."""
    return b"".join(form.with_value(text))


def test_a_field_is_read_and_replaced_and_the_rest_stays() -> None:
    form = form_of(FORM)
    assert form.value == "whisper"
    assert (form_of(FORM, name="language").value, form_of(FORM, name="other").value) == ("de", "")
    assert changed(form, "x") == FILE + field(b"model", b"x") + field(b"language", b"de") + END
    longer = changed(form, "a/much-longer:name")
    assert longer == FORM.replace(b"whisper", b"a/much-longer:name")
    assert form_of(longer).value == "a/much-longer:name"
    assert changed(form, "é") == FORM.replace(b"whisper", "é".encode())


def test_nothing_to_change_gives_the_very_bytes() -> None:
    form = form_of(FORM)
    assert changed(form, "whisper") == FORM
    assert changed(form_of(FORM, name="other"), "x") == FORM


@pytest.mark.parametrize(
    "content_type",
    [
        TYPE,
        b"Multipart/Form-Data;boundary=XX",
        b'multipart/form-data; boundary="XX"',
        b"multipart/form-data; charset=utf-8; BOUNDARY=XX",
        b'multipart/form-data; boundary="XX"; charset=utf-8',
        b"multipart/form-data ; boundary=XX ; x=y",
    ],
)
def test_a_boundary_may_be_quoted_and_stand_anywhere(content_type: bytes) -> None:
    assert form_of(FORM, content_type).value == "whisper"


def test_a_quoted_boundary_may_have_blanks() -> None:
    body = FORM.replace(b"--XX", b"--a b;c=d")
    assert form_of(body, b'multipart/form-data; boundary="a b;c=d"').value == "whisper"


@pytest.mark.parametrize(
    "content_type",
    [
        b"", b"application/json", b"multipart/form-data", b"multipart/mixed; boundary=XX",
        b"text/plain; boundary=XX", b"multipart/form-data; boundary=", b'multipart/form-data; boundary=""',
        b"multipart/form-data; boundary=YY",
        b"multipart/form-data; boundary=" + b"X" * 71,
    ],
)  # fmt: skip
def test_anything_else_is_no_form(content_type: bytes) -> None:
    assert parse(content_type, FORM, "model") is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"model=whisper", b"--XX", b"--XX\r\n", FORM[: -len(END)], FORM[:-5], FILE, FILE[:-1],
        b'--XX\r\nContent-Disposition: form-data; name="model"\r\nwhisper\r\n--XX--',
        field(b"a", b"1") * 1001 + END,
    ],
)  # fmt: skip
def test_a_form_without_its_end_is_none(body: bytes) -> None:
    assert parse(TYPE, body, "model") is None


def test_what_stands_before_the_first_part_and_behind_the_last_is_left_alone() -> None:
    form = form_of(b"preamble\r\n" + FORM + b"behind")
    assert changed(form, "x") == b"preamble\r\n" + FORM.replace(b"whisper", b"x") + b"behind"
    assert form_of(b"\r\n" + FORM).value == "whisper"


@pytest.mark.parametrize("more", [b"x", b"-", b"\r", b"--"])
def test_a_line_that_only_begins_like_the_end_is_none(more: bytes) -> None:
    form = form_of(FORM + b"--XX--" + more)
    assert changed(form, "x") == FORM.replace(b"whisper", b"x") + b"--XX--" + more
    assert parse(TYPE, field(b"model", b"m") + b"--XX--" + more, "model") is None
    assert parse(TYPE, field(b"model", b"m") + b"--XX\r\n\r\n\r\n--XX--" + more + b"\r\n", "model") is None


def test_of_two_fields_of_one_name_the_first_counts_and_is_replaced() -> None:
    form = form_of(field(b"model", b"first") + field(b"model", b"second") + END)
    assert form.value == "first"
    assert changed(form, "x") == field(b"model", b"x") + field(b"model", b"second") + END


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="model"; filename="x"',
        b'Content-Disposition: form-data; filename=x; name="model"',
        b"Content-Disposition: form-data; name=\"model\"; filename*=UTF-8''x",
        b"Content-Type: text/plain",
    ],
)
def test_a_file_or_a_part_without_a_name_is_no_field(head: bytes) -> None:
    assert form_of(part(head, b"whisper") + END).value == ""
    assert form_of(part(head, b"whisper") + field(b"model", b"m") + END).value == "m"


@pytest.mark.parametrize(
    "head",
    [
        b'content-disposition: form-data;name="model"',
        b"Content-Disposition: form-data; name=model",
        b'Content-Type: text/plain\r\nContent-Disposition: form-data; NAME="model"',
        b'Content-Disposition: form-data; name="model"\r\nContent-Type: text/plain; charset=utf-8',
    ],
)
def test_a_field_is_named_in_any_spelling(head: bytes) -> None:
    assert form_of(part(head, b"whisper") + END).value == "whisper"


@pytest.mark.parametrize(
    "value", [b"", b" x ", b"a\r\nb", b"\r\n", b"--", b"--X", "\u00e9".encode(), b"-" * 100]
)
def test_a_value_is_all_between_its_head_and_the_boundary(value: bytes) -> None:
    assert form_of(field(b"model", value) + END).value == value.decode()
    assert changed(form_of(field(b"model", value) + END), "y") == field(b"model", b"y") + END


def test_bytes_that_are_no_text_are_replaced_when_read() -> None:
    assert form_of(field(b"model", b"a\xff") + END).value == "a\ufffd"


@pytest.mark.parametrize("before", [998, 999])
def test_a_thousand_parts_are_looked_at(before: int) -> None:
    assert form_of(field(b"a", b"1") * before + field(b"model", b"m") + END).value == "m"
    assert form_of(field(b"a", b"1") * (before + 1) + END).value == ""


def test_a_field_behind_a_thousand_parts_is_not_looked_for() -> None:
    assert parse(TYPE, field(b"a", b"1") * 1000 + field(b"model", b"m") + END, "model") is None
    assert parse(TYPE, field(b"a", b"1") * 1001 + END, "model") is None


def test_what_stands_behind_the_field_is_not_counted() -> None:
    assert form_of(field(b"model", b"m") + field(b"a", b"1") * 1001 + END).value == "m"


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"", ""), (b"model=x", "x"), (b"a=b&model=x&model=y", "x"), (b"model=a%2Fb%3A8b", "a/b:8b"),
        (b"model=a+b", "a b"), (b"model", ""), (b"model=", ""), (b"Model=x", ""), (b"xmodel=y", ""),
        (b"model=%C3%A9", "é"), (b"&&model=x&", "x"),
    ],
)  # fmt: skip
def test_a_query_gives_the_first_value_of_a_name(query: bytes, value: str) -> None:
    assert query_value(query, "model") == value


@pytest.mark.parametrize("more", [b"other", b"-other", b"X", b"="])
def test_a_line_that_only_begins_like_the_boundary_is_contents(more: bytes) -> None:
    inner = b"a\r\n--XX" + more + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nchecked'
    form = form_of(field(b"prompt", inner) + field(b"model", b"runs") + END)
    assert form_of(field(b"prompt", inner) + END, name="prompt").value == inner.decode()
    assert form.value == "runs"


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Type: text/plain; name="model"\r\nContent-Disposition: form-data; name="other"',
        b'X: y; name="model"\r\nContent-Disposition: form-data; name="other"',
        b'Content-Disposition: form-data; x="; name=model"; name="other"',
    ],
)
def test_only_the_disposition_names_a_field(head: bytes) -> None:
    form = parse(TYPE, part(head, b"checked") + field(b"model", b"runs") + END, "model")
    assert form is None or form.value == "runs"


def test_a_filename_elsewhere_makes_no_file() -> None:
    form = form_of(
        part(b'Content-Disposition: form-data; name="model"\r\nX-Filename: y', b"first")
        + field(b"model", b"second")
        + END
    )
    assert form.value == "first"


def test_blanks_may_follow_a_boundary() -> None:
    body = (field(b"a", b"1") + field(b"model", b"m") + END).replace(b"--XX\r\n", b"--XX \t\r\n")
    assert form_of(body).value == "m"


def test_a_files_name_may_have_any_letters() -> None:
    for name in ("Aufnahme ü.wav".encode(), b"\xff.wav", "音声".encode()):
        head = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"'
        form = form_of(part(head, b"RIFF") + field(b"model", b"m") + END)
        assert form.value == "m"


def test_fields_may_have_any_name() -> None:
    form = form_of(field("größe".encode(), b"1") + field(b"\xff", b"2") + field(b"model", b"m") + END)
    assert form.value == "m"


@pytest.mark.parametrize(
    "name", [b"name*=utf-8''model", b'name*0="mo"; name*1="del"', b"name*0*=utf-8''mo; name*1=del"]
)
def test_a_name_in_its_extended_form_is_a_name_to_go(name: bytes) -> None:
    form = parse(
        TYPE,
        part(b"Content-Disposition: form-data; " + name, b"runs") + field(b"model", b"checked") + END,
        "model",
    )
    assert form is None or form.value == "runs"


@pytest.mark.parametrize("gap", [b"\r", b"\n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\x00"])
def test_a_part_has_no_lines_that_go_does_not_see(gap: bytes) -> None:
    head = b"X: y" + gap + b'Content-Disposition: form-data; name="model"'
    form = parse(TYPE, part(head, b"checked") + field(b"model", b"runs") + END, "model")
    assert form is None or form.value == "runs" or gap == b"\n"  # Go ends a line at LF too


MIB = 1 << 20
HOSTILE = {
    "boundaries in a line": FILE[: -len(AUDIO) - 2] + b"--XX" * (2 * MIB) + b"\r\n" + END,
    "lines that begin like one": FILE[: -len(AUDIO) - 2] + b"\r\n--XXx" * MIB + b"\r\n" + END,
    "ends that are none": field(b"model", b"m") + b"\r\n--XX--x" * MIB,
    "fields of a head": b"--XX\r\n" + b"X: y\r\n" * (MIB // 6) + field(b"model", b"m")[6:] + END,
    "parameters": part(b"Content-Disposition: form-data" + b"; a=b" * (MIB // 5), b"1") + END,
    "blanks": part(b"Content-Disposition: form-data; x=" + b" " * MIB + b'; name="model"', b"1") + END,
    "parts": part(b'Content-Disposition: form-data; name="models"' + b"; a=b" * 15, b"1") * 998
    + field(b"model", b"m")
    + END,
}


@pytest.mark.timed
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_form_that_is_made_to_be_slow_is_read_or_refused_quickly(body: bytes) -> None:
    """Others wait meanwhile: parsers of heads take the square of what they read, minutes for a megabyte."""
    began = time.process_time()
    form = parse(TYPE, body, "model")
    assert time.process_time() - began < 0.5
    assert form is None or form.value in ("m", "")


@pytest.mark.timed
def test_a_content_type_with_very_many_parameters_is_none() -> None:
    began = time.process_time()
    content_type = b"multipart/form-data" + b";a=b" * 16_000 + b"; boundary=XX"
    assert parse(content_type, FORM, "model") is None
    assert trouble(content_type) == "request Content-Type isn't multipart/form-data"
    assert time.process_time() - began < 0.2


def test_no_more_is_read_of_a_name_than_a_name_has() -> None:
    assert len(form_of(field(b"model", b"m" * MIB) + END).value) < 10_000


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_content_type_and_a_part_may_have_16_parameters(more: int) -> None:
    others = b"; a=b" * (15 + more)
    form = parse(b"multipart/form-data" + others + b"; boundary=XX", FORM, "model")
    assert (form is None) is (more > 0)
    head = b'Content-Disposition: form-data; name="model"' + b"; x=y" * (15 + more)
    assert (parse(TYPE, part(head, b"whisper") + END, "model") is None) is (more > 0)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_head_of_a_part_may_have_8_kib(more: int) -> None:
    """With the empty line behind it."""
    head = b'Content-Disposition: form-data; name="model"\r\nX: '
    head += b"y" * (8 * 1024 - 4 + more - len(head))
    assert (parse(TYPE, part(head, b"whisper") + END, "model") is None) is (more > 0)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_end_may_stand_before_999_that_are_none(more: int) -> None:
    body = field(b"model", b"m") + END + b"\r\n--XX--y" * (999 + more)
    assert (parse(TYPE, body, "model") is None) is (more > 0)


def test_a_part_with_very_many_parameters_is_none() -> None:
    head = b'Content-Disposition: form-data; name="model"' + b"; x=y" * 20
    assert parse(TYPE, part(head, b"whisper") + END, "model") is None


def test_ends_that_are_none_are_not_looked_at_for_ever() -> None:
    """Each begins like the last delimiter and goes on."""
    body = field(b"model", b"m") + field(b"a", b"1") + b"\r\n--XX--y" * 1001
    assert parse(TYPE, body, "model") is None
