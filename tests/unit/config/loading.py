"""Loads configurations from values: a command line, an environment and files that are texts."""

from collections.abc import Mapping

import pytest

from gollamas.config.faults import Faults
from gollamas.config.given import ReadFile
from gollamas.config.load import Loaded, load, load_with_origins
from gollamas.config.model import Config

FILE = "gollamas.yaml"


def reader(files: Mapping[str, str] | None) -> ReadFile:
    """Read the given texts and nothing else."""

    def read(path: str) -> str:
        if path not in (files or {}):
            raise FileNotFoundError(2, "No such file or directory", path)
        return (files or {})[path]

    return read


def config_of(
    *argv: str, env: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> Config:
    """Load the configuration of a command line."""
    return load(argv, env or {}, reader(files))


def loaded_of(
    *argv: str, env: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> Loaded:
    """Load the configuration of a command line with its origins."""
    return load_with_origins(argv, env or {}, reader(files))


def config_of_yaml(text: str, *argv: str, env: Mapping[str, str] | None = None) -> Config:
    """Load the configuration of one file."""
    return config_of("--config", FILE, *argv, env=env, files={FILE: text})


def faults_of(
    *argv: str, env: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
) -> list[str]:
    """Find the faults of a command line, as they are printed; there has to be one."""
    with pytest.raises(Faults) as caught:
        config_of(*argv, env=env, files=files)
    assert all(fault.place and fault.what and fault.instead for fault in caught.value.faults)
    return [str(fault) for fault in caught.value.faults]


def faults_of_yaml(text: str, *argv: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Find the faults of one file."""
    return faults_of("--config", FILE, *argv, env=env, files={FILE: text})


def routes(config: Config) -> dict[str, list[str]]:
    """Each model's name and the URLs of its servers."""
    return {
        model.name: [config.servers[server].url for server in model.servers]
        for model in config.models.values()
    }


def aliases(config: Config) -> dict[str, str]:
    """Each alias and its model."""
    return {alias.name: alias.model for alias in config.aliases.values()}
