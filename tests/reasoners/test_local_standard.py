"""LangChain's standard tests of a chat model."""

import pytest
from langchain_tests.unit_tests import ChatModelUnitTests

from drr_agent.reasoners import LocalReasoner


class TestLocalReasonerStandard(ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _use_folder(self, tiny_folder):
        self._folder = str(tiny_folder)

    @property
    def chat_model_class(self):
        return LocalReasoner

    @property
    def chat_model_params(self):
        return {"model": self._folder}
