"""What a first start makes, a second start keeps, and settings override."""

import pytest

from multiconnect.config.settings import cluster_settings
from multiconnect.config.sources import resolve
from multiconnect.store.memory import MemoryState, MemoryStore
from multiconnect.supervisor import provision
from multiconnect.supervisor.provision import UpstreamChoice
from multiconnect.web.account import read_account
from multiconnect.web.auth import list_users


@pytest.fixture
def control():
    return MemoryStore(MemoryState()).control


@pytest.fixture
def settings(tmp_path):
    return lambda **flags: cluster_settings(resolve(flags, {}, directory=tmp_path))


async def test_a_demo_account_is_made_once(control, settings):
    first = await provision.ensure_account(control, settings())
    assert (first.cc, first.phone_number, first.pin) == ("1", "6315550000", "")
    assert len(first.cert) > 100
    assert await provision.ensure_account(control, settings()) == first
    assert await read_account(control) == first


async def test_a_configured_account_replaces_what_was_there(control, settings):
    demo = await provision.ensure_account(control, settings())
    mine = settings(account_cc="62", account_phone_number="8123", account_pin="123456")
    account = await provision.ensure_account(control, mine)
    assert (account.cc, account.phone_number, account.pin) == ("62", "8123", "123456")
    # A certificate that was not configured is kept: somebody may have noted it.
    assert account.cert == demo.cert
    assert await read_account(control) == account


async def test_webhook_secrets_are_made_once_and_may_be_set(control, settings):
    first = await provision.ensure_webhook_secrets(control, settings())
    assert len(first.app_secret) >= 32
    assert first.app_secret != first.verify_token
    assert await provision.ensure_webhook_secrets(control, settings()) == first
    changed = await provision.ensure_webhook_secrets(control, settings(app_secret="mine"))
    assert (changed.app_secret, changed.verify_token) == ("mine", first.verify_token)


async def test_the_first_user_has_a_random_password_in_a_private_file(control, tmp_path):
    await provision.ensure_admin(control, tmp_path)
    path = provision.password_file(tmp_path)
    assert path is not None
    password = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    await provision.ensure_admin(control, tmp_path)
    assert path.read_text() == password
    assert [user.name for user in await list_users(control)] == ["admin"]


async def test_another_host_gets_a_token_but_no_password(control, tmp_path):
    assert await provision.admin_token(control) is None
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    await provision.ensure_admin(control, tmp_path / "a")
    await provision.ensure_admin(control, tmp_path / "b")
    assert provision.password_file(tmp_path / "b") is None
    assert await provision.admin_token(control) != await provision.admin_token(control)


async def test_a_node_follows_where_messages_go(control):
    assert await provision.stored_upstream(control) is None
    choice = UpstreamChoice("simulator", "http://127.0.0.1:1", "7", "v24.0", None, pair_rate=False)
    await provision.store_upstream(control, choice)
    assert await provision.stored_upstream(control) == choice
    faster = UpstreamChoice("https://x", "https://x", "7", "v24.0", 1000.0, pair_rate=True)
    await provision.store_upstream(control, faster)
    assert await provision.stored_upstream(control) == faster


def test_a_private_file_appears_whole(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    provision.write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
