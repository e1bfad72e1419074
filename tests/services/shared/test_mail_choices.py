"""What comes by mail: each person's choice, within what everybody is always told."""

import ast
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.services.people import acting, events_of
from tests.source import modules, tree
from zentry_web.adapters.letters import Letters, MailSettings
from zentry_web.domain.notice import RULE_OF, TOPIC_OF_KIND, TOPICS, Topic, topic_of
from zentry_web.domain.target import Place, Target
from zentry_web.models import DbOutbox
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.shared.notices import Notices
from zentry_web.web.output.targets import path_of

pytestmark = pytest.mark.integration
OFTEN = {"tell": 1, "_tell": 1, "tell_security": 1, "tell_admins": 0}  # calls that tell, and where they name the kind


@pytest.fixture
def notices(core):
    return Notices(replace(core, mail=MailSettings(True, Letters("https://cloud.example.com", path_of))))


@pytest.fixture
def mails(core):
    def subjects(user):
        with core.database.reading() as session:
            query = select(DbOutbox.subject).where(DbOutbox.user_id == user.id).order_by(DbOutbox.id)
            return list(session.scalars(query))

    return subjects


def chosen(notices, user):
    return {choice.rule.topic for choice in notices.choices.list_choices(user.id, actor=acting(user)) if choice.mail}


def told_kinds():
    """The kinds that the code names where it tells somebody."""
    for path in (*modules("services"), *modules("worker")):
        for node in ast.walk(tree(path)):
            name = getattr(getattr(node, "func", None), "attr", getattr(getattr(node, "func", None), "id", ""))
            if isinstance(node, ast.Call) and name in OFTEN and len(node.args) > OFTEN[name]:
                kind = node.args[OFTEN[name]]
                if isinstance(kind, ast.Constant):
                    yield kind.value


def test_every_kind_of_notice_has_a_topic_and_every_topic_a_rule():
    assert set(told_kinds()) == set(TOPIC_OF_KIND), "a new kind of notice: put it into a topic in domain/notice.py"
    assert set(RULE_OF) == set(Topic) == set(TOPIC_OF_KIND.values())
    assert len(TOPICS) == len(Topic)


def test_who_chose_nothing_gets_what_the_topics_say(notices, mails, alice):
    assert Topic.STATEMENTS not in chosen(notices, alice)
    assert {Topic.BUDGETS, Topic.SECURITY, Topic.STOPPING} < chosen(notices, alice)
    for kind in ("statement", "budget", "runway"):
        notices.tell(alice.id, kind, "1", kind, "Body")
    assert mails(alice) == ["budget", "runway"]


def test_a_choice_is_followed_from_then_on_and_the_list_has_all(notices, core, mails, alice, bob):
    notices.choices.choose(alice.id, {Topic.STATEMENTS}, actor=acting(alice))
    for user in (alice, bob):
        for kind in ("statement", "budget", "payment"):
            assert notices.tell(user.id, kind, "1", kind, "Body")
    assert (mails(alice), mails(bob)) == (["statement"], ["budget", "payment"])
    assert len(notices.list_notices(alice.id)) == 3
    (event,) = events_of(core, "profile.mail")
    assert (event.owner_id, event.details["changed"]["budgets"]) == (alice.id, False)
    notices.choices.choose(alice.id, [Topic.STATEMENTS], actor=acting(alice))
    assert len(events_of(core, "profile.mail")) == 1, "nothing changed"
    notices.choices.choose(alice.id, [Topic.BUDGETS], actor=acting(alice))
    notices.tell(alice.id, "budget", "2", "again", "Body")
    assert mails(alice) == ["statement", "again"]


@pytest.mark.parametrize("kind", [kind for kind in sorted(TOPIC_OF_KIND) if RULE_OF[topic_of(kind)].always])
def test_what_must_be_told_is_mailed_whatever_was_chosen(notices, mails, alice, kind):
    notices.choices.choose(alice.id, [], actor=acting(alice))
    notices.tell(alice.id, kind, "1", kind, "Body")
    assert mails(alice) == [kind]


def test_a_kind_that_nobody_put_anywhere_is_mailed(notices, mails, alice):
    notices.choices.choose(alice.id, [], actor=acting(alice))
    notices.tell(alice.id, "brand_new", "1", "Brand new", "Body")
    assert mails(alice) == ["Brand new"]


@pytest.mark.parametrize("topic", [Topic.STOPPING, Topic.DELETION, Topic.SECURITY, Topic.PRICES, Topic.ORDERS])
def test_stops_deletions_and_security_are_such_topics(topic):
    assert RULE_OF[topic].always


def test_only_what_can_be_switched_off_says_where(notices, core, alice):
    notices.tell(alice.id, "budget", "1", "Budget", "Body", target=Target(Place.PROJECTS))
    notices.tell(alice.id, "runway", "1", "Runway", "Body")
    with core.database.reading() as session:
        bodies = list(session.scalars(select(DbOutbox.body).order_by(DbOutbox.id)))
    assert bodies == [
        "Body\n\nhttps://cloud.example.com/projects\n\n"
        "Which mails you get: https://cloud.example.com/account/notifications",
        "Body",
    ]


def test_admins_have_topics_of_their_own(notices, alice, admin):
    assert Topic.APPROVALS in chosen(notices, admin)
    assert Topic.APPROVALS not in {choice.rule.topic for choice in notices.choices.list_choices(alice.id)}


@pytest.mark.error
def test_only_topics_that_there_are_and_ones_own(notices, alice, bob):
    for wrong in ("everything", Topic.APPROVALS):
        with pytest.raises(ValidationError) as caught:
            notices.choices.choose(alice.id, [wrong], actor=acting(alice))
        assert set(caught.value.details) == {"mail"}
    with pytest.raises(NotFoundError):
        notices.choices.choose(alice.id, [], actor=acting(bob))
    with pytest.raises(NotFoundError):
        notices.choices.list_choices(alice.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        notices.choices.list_choices("usr_none")
