"""The service's HTTP interface: client secrets and calls. The only importer of ``requests``."""
