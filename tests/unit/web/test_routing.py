"""Which route a request takes."""

import pytest

from multiconnect.web.errors import ApiError
from multiconnect.web.messages import Request, Response
from multiconnect.web.principal import Access
from multiconnect.web.routes import ROUTES
from multiconnect.web.routing import Route, RouteTable


def route(method, path):
    return Route(method, path, lambda *_: Response(200, b""), Access.PUBLIC, "summary")


TABLE = RouteTable(
    [
        route("GET", "/a"),
        route("POST", "/a"),
        route("GET", "/a/login"),
        route("GET", "/a/{name}"),
        route("PUT", "/a/{name}"),
        route("GET", "/{x}/b/{y}"),
    ]
)


def find(method, path):
    request = Request(method.encode(), path.encode(), b"", {})
    return TABLE.find(request).path, dict(request.params)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/a", ("/a", {})),
        ("HEAD", "/a", ("/a", {})),
        ("POST", "/a", ("/a", {})),
        ("GET", "/a/login", ("/a/login", {})),
        ("PUT", "/a/x", ("/a/{name}", {"name": "x"})),
        ("HEAD", "/a/x", ("/a/{name}", {"name": "x"})),
        ("GET", "/a/x%2Fy%C3%A9", ("/a/{name}", {"name": "x/yé"})),
        ("GET", "/a/", ("/a/{name}", {"name": ""})),
        ("GET", "/1/b/2", ("/{x}/b/{y}", {"x": "1", "y": "2"})),
    ],
)
def test_a_request_finds_its_route(method, path, expected):
    assert find(method, path) == expected


@pytest.mark.parametrize("path", ["", "a", "/A", "/a/x/y", "//a", "/a/%FF", "/./a", "*"])
def test_what_is_not_there_is_404(path):
    with pytest.raises(ApiError) as caught:
        find("GET", path)
    assert (caught.value.status, caught.value.code) == (404, 1006)


def test_what_is_not_for_the_path_is_405_with_what_is():
    with pytest.raises(ApiError) as caught:
        find("DELETE", "/a")
    assert caught.value.status == 405
    assert caught.value.headers == ((b"Allow", b"GET, HEAD, POST"),)


def test_the_table_has_each_line_once_and_only_sends_run_side_by_side():
    lines = [(line.method, line.path) for line in ROUTES]
    assert len(lines) == len(set(lines))
    assert [line.path for line in ROUTES if line.parallel] == ["/v1/messages"]


def test_who_may_call_what_without_a_token_is_a_short_list():
    open_ones = {
        (line.method, line.path)
        for line in ROUTES
        if line.access not in (Access.TOKEN, Access.ADMIN)
    }
    assert open_ones == {
        ("GET", "/"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/v1/health"),
        ("POST", "/v1/users/login"),
        ("GET", "/webhooks/whatsapp"),
        ("POST", "/webhooks/whatsapp"),
    }
