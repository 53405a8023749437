"""Records: frozen values that become JSON and come back, or say what is wrong with it."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drr_agent.errors import DataError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Record = TypeVar("Record", bound=BaseModel)


class ReportPart(BaseModel):
    """Frozen; an unknown key and a NaN are errors, on the way in and on the way out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def read_record(path: Path, kind: type[Record], *, name: str, version: int, again: str) -> Record:
    """A record from its file.

    Raises:
        DataError: there is no such file, or it is not such a record.
    """
    if not path.is_file():
        raise DataError(
            f"expected a {name} at {path}, found {'a folder' if path.is_dir() else 'nothing'}; check the path"
        )
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(
            f"expected a {name} of format {version} in {path}, got {place}: {first['msg']}; {again}"
        ) from error
