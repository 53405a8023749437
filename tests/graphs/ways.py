"""The four ways of running a graph, which must give the same."""

import asyncio


def run_invoke(graph, given, config=None):
    return graph.invoke(given, config)


def run_ainvoke(graph, given, config=None):
    return asyncio.run(graph.ainvoke(given, config))


def run_stream(graph, given, config=None):
    return list(graph.stream(given, config, stream_mode="values"))[-1]


def run_astream(graph, given, config=None):
    async def last():
        return [value async for value in graph.astream(given, config, stream_mode="values")][-1]

    return asyncio.run(last())


WAYS = {"invoke": run_invoke, "ainvoke": run_ainvoke, "stream": run_stream, "astream": run_astream}
