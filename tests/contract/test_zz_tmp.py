from tests.contract.test_postgres_histories import PostgresAndMemory, on_server, pytest
from tests.contract.conftest import postgres_server
from tests.conftest import service_missing
from hypothesis import settings, HealthCheck
class L(PostgresAndMemory): pass
TestL = L.TestCase
TestL.settings = settings(max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))
