"""The guided tour: a real cluster under load, broken on purpose, judged by what arrived."""
