"""Responses as bytes."""

import pytest

from multiconnect.web.messages import TEXT, Response
from multiconnect.web.rendering import date_line, render

DATE = date_line(0)


def test_the_date_is_written_as_http_wants_it():
    assert DATE == b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def test_a_plain_answer():
    assert render(Response(201, b"{}"), DATE) == (
        b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
        b"X-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n" + DATE + b"\r\n{}"
    )


@pytest.mark.parametrize(
    ("options", "line", "body"),
    [
        ({"keep_alive": False}, b"Connection: close\r\n", b"hello"),
        ({"keep_alive": False, "legacy": True}, b"Connection: close\r\n", b"hello"),
        ({"legacy": True}, b"Connection: keep-alive\r\n", b"hello"),
        ({"is_head": True}, b"", b""),
    ],
)
def test_what_makes_an_answer_different(options, line, body):
    response = Response(405, b"hello", TEXT, ((b"Allow", b"GET"), (b"X", b"y")))
    assert render(response, DATE, **options) == (
        b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"X-Content-Type-Options: nosniff\r\nContent-Length: 5\r\n"
        + DATE
        + line
        + b"Allow: GET\r\nX: y\r\n\r\n"
        + body
    )
