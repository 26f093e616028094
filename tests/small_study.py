"""A study's file of one small search."""


def study_text(runs: int, budget: int, *agents: str) -> str:
    """What a study's TOML file says: agents on the topology space, CIFAR-10, 12 epochs."""
    search = f'space = "tss"\ndataset = "cifar10"\nepochs = 12\nbudget = {budget}\n'
    return f"runs = {runs}\n[[searches]]\n{search}" + "".join(f"[agents.{a}]\n" for a in agents)
