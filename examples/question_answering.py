"""Question answering: the loop with the Reasoner and the DM that ship, at word problems they have never seen."""

from drr_agent import Run, create_drr_graph, create_reasoner, load_dm
from drr_agent.reasoners.word_problems import generate

QUESTIONS = 3


def main() -> list[Run]:
    graph = create_drr_graph(create_reasoner("pocket", logprobs=True), load_dm("pocket"), max_turns=8)
    samples = generate(QUESTIONS, seed=7)
    results = graph.batch([{"messages": [("user", sample["question"])]} for sample in samples])
    runs = [result["drr"] for result in results]
    for sample, run in zip(samples, runs, strict=True):
        print(sample["question"])
        for attempt in run["attempts"]:
            print(f"  {attempt['turn']}: {attempt['answer']} (P = {attempt['score']:.2f}, {attempt['verdict']})")
        print(f"  → {run['answer']}, {run['stop_reason']}; right is {sample['target']}")
    return runs


if __name__ == "__main__":
    main()
