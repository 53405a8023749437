"""The stories that word problems are told as: a few plots, in varied words and numbers.

A plot tells its sentences and works out its two to five calculations as it goes, on whole numbers below a thousand.
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

_NAMES = (
    *("Ada", "Ben", "Clara", "Dan", "Elena", "Finn", "Grace", "Hugo", "Iris", "Jonas", "Kira", "Leo", "Maya"),
    *("Nora", "Omar", "Paula", "Quinn", "Rosa", "Sam", "Tara", "Uma", "Victor", "Wendy", "Yusuf", "Zoe", "Amir"),
)
_THINGS = (
    *("apples", "books", "buttons", "cards", "coins", "cookies", "eggs", "flowers", "marbles", "oranges"),
    *("pears", "pencils", "ribbons", "shells", "stamps", "stickers", "tickets", "toys"),
)
_BOXES = ("bags", "boxes", "crates", "jars", "packs")
_PLACES = ("bakery", "farm", "library", "market", "museum", "school", "shop", "studio")


class Step(NamedTuple):
    """One calculation on whole numbers."""

    left: int
    operator: str
    """One of `+`, `-`, `*`, `/`; divisions leave no remainder."""
    right: int

    @property
    def result(self) -> int:
        """The calculation's value."""
        if self.operator == "/":
            return self.left // self.right
        return {"+": self.left + self.right, "-": self.left - self.right, "*": self.left * self.right}[self.operator]

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right} = {self.result}"


class Story:
    """A problem while it is being told: sentences and calculations so far."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sentences: list[str] = []
        self.steps: list[Step] = []
        self.hero, self.friend, self.other = rng.sample(_NAMES, 3)
        self.things, self.extras = rng.sample(_THINGS, 2)
        self.boxes, self.place = rng.choice(_BOXES), rng.choice(_PLACES)

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self.rng.randint(low, high)

    def chance(self, probability: float) -> bool:
        """Whether something happens."""
        return self.rng.random() < probability

    def tell(self, *wordings: str, **values: object) -> None:
        """Add one of the wordings, filled with the values and the story's words."""
        self.sentences.append(self.rng.choice(wordings).format(**{**vars(self), **values}))

    def work_out(self, left: int, operator: str, right: int) -> int:
        """Add a calculation and return its value."""
        self.steps.append(Step(left, operator, right))
        return self.steps[-1].result


def tell_story(rng: random.Random) -> Story:
    """A whole story of any plot, one in three with a number that does not matter."""
    story = Story(rng)
    rng.choice(_PLOTS)(story)
    if story.chance(0.35):
        aside = "{friend} keeps {number} {extras} at home."
        story.tell(aside, "{other} is {number} years old.", number=story.number(5, 40))
        story.sentences.insert(rng.randrange(len(story.sentences) - 1), story.sentences.pop())
    return story


def _collection(story: Story) -> None:
    """Somebody's things, and what happens to them."""
    count, goal = story.number(8, 60), story.number(2, 5)
    story.tell("{hero} has {count} {things}.", "{hero} starts with {count} {things}.", count=count)
    while len(story.steps) < goal:
        count = story.rng.choice(_events(count, room=goal - len(story.steps)))(story, count)
    story.tell("How many {things} does {hero} have now?", "How many {things} are left with {hero}?")


def _events(count: int, *, room: int) -> Sequence[Callable[[Story, int], int]]:
    """What can happen to so many things in so many calculations."""
    events = {_gain: True, _lose: count > 12, _multiply: count < 60, _divide: _divisors(count), _buy_packs: room > 1}
    return [event for event, fits in events.items() if fits]


def _gain(story: Story, count: int) -> int:
    more = story.number(3, 40)
    story.tell("{friend} gives {hero} {more} more.", "{hero} finds {more} more.", "{hero} gets {more} more.", more=more)
    return story.work_out(count, "+", more)


def _lose(story: Story, count: int) -> int:
    fewer = story.number(3, count - 5)
    story.tell("{hero} gives {fewer} to {friend}.", "{hero} loses {fewer}.", "{hero} sells {fewer}.", fewer=fewer)
    return story.work_out(count, "-", fewer)


def _multiply(story: Story, count: int) -> int:
    times, word = story.rng.choice([(2, "doubles"), (3, "triples")])
    story.tell("Then the number {word}.", "A prize {word} what {hero} has.", word=word)
    return story.work_out(count, "*", times)


def _divide(story: Story, count: int) -> int:
    ways = story.rng.choice(_divisors(count))
    piles = "{hero} makes {ways} equal piles and keeps only one."
    story.tell(piles, "{hero} splits them evenly between {ways} people and keeps one share.", ways=ways)
    return story.work_out(count, "/", ways)


def _buy_packs(story: Story, count: int) -> int:
    packs, size = story.number(2, 6), story.number(2, 12)
    bought = "{hero} buys {packs} {boxes} of {size} {things}."
    story.tell(bought, "{friend} brings {packs} {boxes} with {size} in each.", packs=packs, size=size)
    return story.work_out(count, "+", story.work_out(packs, "*", size))


def _divisors(count: int) -> list[int]:
    return [ways for ways in range(2, 10) if count % ways == 0 and count // ways > 2]


def _shopping(story: Story) -> None:
    """A bill of one or two kinds of things, perhaps with a coupon, perhaps paid from a purse."""
    total = _bill(story, story.things)
    if story.chance(0.7):
        total = story.work_out(total, "+", _bill(story, story.extras))
    if story.chance(0.3):
        coupon = story.number(1, max(2, total // 3))
        story.tell("A coupon takes ${coupon} off.", "The seller takes ${coupon} off the bill.", coupon=coupon)
        total = story.work_out(total, "-", coupon)
    if len(story.steps) > 1 and story.chance(0.4):
        story.tell("How many dollars does {hero} pay?", "What is the bill in dollars?")
        return
    purse = total + story.number(5, 60)
    story.tell("{hero} had ${purse}.", "{hero} came with ${purse}.", purse=purse)
    story.tell("How many dollars are left?", "How many dollars does {hero} still have?")
    story.work_out(purse, "-", total)


def _bill(story: Story, bought: str) -> int:
    count, price = story.number(2, 9), story.number(2, 12)
    wordings = ("{hero} buys {count} {bought} for ${price} each.", "{hero} pays ${price} each for {count} {bought}.")
    story.tell(*wordings, count=count, price=price, bought=bought)
    return story.work_out(count, "*", price)


def _production(story: Story) -> None:
    """Things made by the hour, some sold, the rest perhaps packed."""
    made = _make(story)
    sold = story.number(1, made - 2)
    story.tell("Then {sold} {things} are sold.", "{hero} takes {sold} of them away.", sold=sold)
    rest = story.work_out(made, "-", sold)
    if (ways := _divisors(rest)) and story.chance(0.6):
        each = story.rng.choice(ways)
        story.tell("The rest goes into {boxes} of {each}.", each=each)
        story.tell("How many {boxes} are filled?", "How many {boxes} does it take?")
        story.work_out(rest, "/", each)
    else:
        story.tell("How many {things} are left?", "How many {things} remain?")


def _make(story: Story) -> int:
    rate, hours = story.number(3, 12), story.number(2, 8)
    story.tell("The {place} makes {rate} {things} an hour.", "A {place} packs {rate} {things} every hour.", rate=rate)
    story.tell("It works {hours} hours a day.", "A day there has {hours} hours of work.", hours=hours)
    made = story.work_out(rate, "*", hours)
    if story.chance(0.4):
        return made
    days = story.number(2, min(5, 250 // made))
    story.tell("It does so for {days} days.", "This goes on for {days} days.", days=days)
    return story.work_out(made, "*", days)


def _comparison(story: Story) -> None:
    """Two or three people's things, each told by another's, and their sum."""
    first = story.number(5, 40)
    story.tell("{hero} has {first} {things}.", "There are {first} {things} in the bag of {hero}.", first=first)
    second = _relative(story, first, who=story.friend, whom=story.hero)
    if story.chance(0.5):
        pair = "How many {things} do {hero} and {friend} have together?"
        story.tell(pair, "How many {things} do the two have in all?")
        story.work_out(first, "+", second)
        return
    third = _relative(story, second, who=story.other, whom=story.friend)
    story.tell("How many {things} do all three have together?", "How many {things} do the three have in all?")
    story.work_out(story.work_out(first, "+", second), "+", third)


def _relative(story: Story, count: int, *, who: str, whom: str) -> int:
    """One person's count, told as a multiple of another's, as fewer or as more."""
    kind = story.rng.choice("*-+")
    if kind == "*" and count <= 60:
        times = story.number(2, min(5, 120 // count))
        story.tell("{who} has {times} times as many as {whom}.", who=who, whom=whom, times=times)
        return story.work_out(count, "*", times)
    if kind == "-" and count > 4:
        fewer = story.number(2, count - 2)
        story.tell("{who} has {fewer} fewer than {whom}.", who=who, whom=whom, fewer=fewer)
        return story.work_out(count, "-", fewer)
    more = story.number(2, 40)
    story.tell("{who} has {more} more than {whom}.", who=who, whom=whom, more=more)
    return story.work_out(count, "+", more)


def _reading(story: Story) -> None:
    """A long book, some days of it read, the rest perhaps at another pace."""
    pace, days, next_pace, next_days = (story.number(*span) for span in ((4, 20), (2, 7), (3, 20), (2, 6)))
    pages = pace * days + next_pace * next_days
    story.tell("{hero} has {pages} pages to read about {things}.", "A book on {things} has {pages} pages.", pages=pages)
    wordings = ("{hero} reads {pace} pages a day for {days} days.", "For {days} days {hero} reads {pace} pages a day.")
    story.tell(*wordings, pace=pace, days=days)
    rest = story.work_out(pages, "-", story.work_out(pace, "*", days))
    if story.chance(0.4):
        story.tell("How many pages are left?", "How many pages remain?")
        return
    story.tell("The rest takes {days} equal days.", "{hero} finishes it in {days} equal days.", days=next_days)
    story.tell("How many pages is that a day?", "How many pages are read on each of those days?")
    story.work_out(rest, "/", next_days)


def _sharing(story: Story) -> None:
    """Packs and loose things pooled and shared evenly."""
    packs, size, children = story.number(2, 8), story.number(3, 12), story.number(2, 8)
    loose = children * (packs * size // children + story.number(2, 12)) - packs * size
    story.tell("{hero} has {packs} {boxes} of {size} {things}.", packs=packs, size=size)
    story.tell("{friend} adds {loose} loose ones.", "There are also {loose} loose {things}.", loose=loose)
    wordings = ("They are shared equally by {children} children.", "{children} children share them all equally.")
    story.tell(*wordings, children=children)
    pool = story.work_out(story.work_out(packs, "*", size), "+", loose)
    each = story.work_out(pool, "/", children)
    if story.chance(0.5):
        given = story.number(1, each - 1)
        story.tell("Each child then gives away {given}.", given=given)
        story.work_out(each, "-", given)
    story.tell("How many {things} does each child have?", "How many {things} does one child end up with?")


_PLOTS: Sequence[Callable[[Story], None]] = (_collection, _shopping, _production, _comparison, _reading, _sharing)
