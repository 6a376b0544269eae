"""Uses the clients that openapi-python-client has generated, as somebody would who knows nothing but the documents.

client.py FOLDER URL API_KEY ADMIN_TOKEN SESSION: FOLDER holds the packages `permits_client` and `permits_admin_client`. Says "done"
when all is as it should be.
"""

import datetime
import sys

import httpx

folder, url, api_key, admin_token, session = sys.argv[1:]
sys.path.insert(0, folder)

from permits_admin_client.api.keys import list_keys
from permits_admin_client.api.people import invite_user, list_users
from permits_admin_client.api.plans import define_plan
from permits_admin_client.client import AuthenticatedClient as AdministratorsClient
from permits_admin_client.models import Invitation, Limits, Role, User
from permits_client.api.oneself import (
    issue_my_key,
    list_my_keys,
    list_my_sessions,
    revoke_my_key,
    show_me,
    sign_out,
)
from permits_client.api.permits import permits_by_key, permits_facets, permits_list, permits_record, permits_stats
from permits_client.api.trees import trees_changes, trees_history, trees_list
from permits_client.client import AuthenticatedClient
from permits_client.models import (
    NewKey,
    PermitsFacetsColumnsItem,
    PermitsListCount,
    PermitsListSelectItem,
    PermitsListSortItem,
    PermitsRecords,
    PermitsSelection,
    PermitsStatsColumnsItem,
    Problem,
    ProblemType,
)
from permits_client.types import UNSET



def joined(request):
    """The generator repeats the parameter for each value of a list, also where the document says `explode: false` (its issue
    197). The server wants the list in one."""
    params = httpx.QueryParams([(name, ",".join(request.url.params.get_list(name))) for name in request.url.params.keys()])
    request.url = request.url.copy_with(params=params)


strict = {
    "base_url": url,
    "raise_on_unexpected_status": True,
    "httpx_args": {"event_hooks": {"request": [joined]}, "trust_env": False},
}
reader = AuthenticatedClient(token=api_key, prefix="", auth_header_name="x-api-key", **strict)
stranger = AuthenticatedClient(token="pmt_nobody", prefix="", auth_header_name="x-api-key", **strict)
admin = AdministratorsClient(token=admin_token, **strict)
member = AuthenticatedClient(token=session, **strict)

# Typed conditions, an order and a selection.
found = permits_list.sync(
    client=reader,
    estimated_cost_between=[10_000, 500_000],
    file_date_lt=datetime.date(2016, 12, 1),
    status_in=["issued", "complete"],
    revised_cost_isnull=False,
    sort=[PermitsListSortItem.ESTIMATED_COST_DESCENDING, PermitsListSortItem.FILE_DATE],
    limit=5,
    count=PermitsListCount.EXACT,
)
assert isinstance(found, PermitsRecords), found
assert 0 < len(found.data) <= 5 and found.page.count >= len(found.data), found.page
costs = [record.estimated_cost for record in found.data]
assert costs == sorted(costs, reverse=True) and all(10_000 <= cost <= 500_000 for cost in costs), costs
assert all(record.file_date < datetime.date(2016, 12, 1) for record in found.data)
assert all(record.status in ("issued", "complete") for record in found.data)

selected = permits_list.sync(client=reader, select=[PermitsListSelectItem.STATUS], limit=1).data[0]
assert isinstance(selected.status, str) and selected.address is UNSET, selected

# Pages, to their end.
seen, cursor = [], UNSET
while True:
    page = permits_list.sync(client=reader, filter_='status = "issued"', limit=40, cursor=cursor)
    seen += [(record.application_number, record.record_id) for record in page.data]
    if page.page.next_ is None:
        break
    cursor = page.page.next_
assert len(seen) == len(set(seen)) > 40, len(seen)

# One record.
one = permits_record.sync("201612013997", 1, client=reader)
assert isinstance(one.data, PermitsSelection) and one.data.address == "235 Bella Vista Wy", one
assert permits_by_key.sync("201612013997", client=reader).data == [one.data]

# Summaries.
facets = permits_facets.sync(client=reader, columns=[PermitsFacetsColumnsItem.STATUS], record_id=1)
assert facets.facets[0].column == "status" and sum(value.count for value in facets.facets[0].values) == facets.records
stats = permits_stats.sync(client=reader, columns=[PermitsStatsColumnsItem.ESTIMATED_COST])
assert stats.stats[0].min_ <= stats.stats[0].mean <= stats.stats[0].max_, stats

# What an import changed.
changes = trees_changes.sync(client=reader, since="1")
assert [change.change for change in changes.data] == ["updated"], changes
updated = changes.data[0]
assert (updated.before.worth, updated.after.worth, updated.at.tzinfo is None) == (0.07, 12345.67, False), updated
history = trees_history.sync("A1", client=reader)
assert [state.record.worth for state in history.data] == [0.07, 12345.67, 4], history
seen_at = datetime.datetime(2016, 12, 1, 9, 30, tzinfo=datetime.timezone.utc)
assert [tree.tag for tree in trees_list.sync(client=reader, seen=seen_at).data] == ["A1"]

# Problems are typed, too.
missing = permits_record.sync_detailed("0", 1, client=reader)
assert missing.status_code == 404 and isinstance(missing.parsed, Problem)
assert missing.parsed.type_ is ProblemType.NOT_FOUND, missing.parsed
refused = permits_list.sync(client=stranger)
assert isinstance(refused, Problem) and refused.status == 401, refused
wrong = permits_list.sync(client=reader, filter_="statsu = 1")
assert wrong.status == 400 and wrong.invalid_params[0].did_you_mean == "status", wrong

# An administrator's day.
plan = define_plan.sync("research", client=admin, body=Limits(rate_per_s=2.5, burst=5, quota_per_day=50))
assert (plan.name, plan.rate_per_s, plan.retired) == ("research", 2.5, False), plan
user = invite_user.sync(client=admin, body=Invitation(email="bob@example.org", role=Role.READER, plan="research"))
assert isinstance(user, User) and user.deleted_at is None and user.invited_at.tzinfo is not None, user
assert user.id in [other.id for other in list_users.sync(client=admin, search="bob@").data]
assert list_keys.sync(user.id, client=admin) is not None
taken = invite_user.sync_detailed(client=admin, body=Invitation(email="bob@example.org"))
assert taken.status_code == 409 and taken.parsed.existing == f"/users/{user.id}", taken

# What somebody does for themselves with a session.
me = show_me.sync(client=member)
assert me.email == "eve@example.org" and me.has_password, me
issued = issue_my_key.sync(client=member, body=NewKey(label="laptop"))
assert issued.key.startswith("pmt_"), issued
assert "laptop" in [key.label for key in list_my_keys.sync(client=member).data]
revoked = revoke_my_key.sync_detailed(issued.id, client=member)
assert revoked.status_code == 200, revoked
assert [kept.current for kept in list_my_sessions.sync(client=member).data] == [True]
assert sign_out.sync_detailed(client=member).status_code == 200
over = show_me.sync(client=member)
assert isinstance(over, Problem) and over.status == 401, over

print("done")
