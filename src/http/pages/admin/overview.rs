//! `/admin`: whether all is well, and what waits for the visitor, as far as they may see it, with links.

use actix_web::{HttpRequest, web};
use serde_json::{Value, json};

use super::{
    super::{
        route::get,
        visit::{KnownVisitor, PageRefusal, Shown, SignedInPerson, Visit, Visitor},
    },
    told::say,
};
use crate::{
    domain::{
        permission::{AccessKind, Permission, Permissions},
        view::{HELD, InvitationState, UserStatus},
    },
    http::{
        Problem, credentials::beyond, method, routes::refusal::queue_problem, state::Service,
        store_problem::store_problem,
    },
};

const TEMPLATE: &str = "admin/overview/page.html";
/// The newest imports, as many as are looked at.
const IMPORTS_LOOKED_AT: usize = 200;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin", "GET, HEAD").route(get(show)));
}

/// A visitor who may see at least one part of the administration.
#[derive(Debug, Clone, Copy)]
struct SomeStaff;

impl Visitor for SomeStaff {
    fn of(known: Option<&KnownVisitor>, request: &HttpRequest, service: &Service) -> Result<Self, PageRefusal> {
        let permissions = match known {
            Some(KnownVisitor::Token(caller)) => caller.permissions,
            known => Permissions::of_role(SignedInPerson::of(known, request, service)?.0.user.role),
        };
        if permissions.is_empty() {
            let detail = "to see this, a permission of the administration is needed; you have none";
            return Err(beyond(detail.to_owned(), Permissions::of(&[Permission::Data])).into());
        }
        Ok(Self)
    }
}

async fn show(visit: Visit<SomeStaff>) -> Shown {
    let may = |permission: Permission| visit.permissions().may(Permissions::of(&[permission]), AccessKind::Read);
    let mut waits: Vec<Value> = Vec::new();
    let people = match may(Permission::People) {
        true => Some(people(&visit.service, &mut waits).await?),
        false => None,
    };
    let data = match may(Permission::Data) {
        true => Some(data(&visit.service, &mut waits).await?),
        false => None,
    };
    let server = match may(Permission::Server) {
        true => Some(server(&visit.service, &mut waits).await?),
        false => None,
    };
    let may: Vec<String> = Permission::ALL
        .into_iter()
        .filter(|permission| may(*permission))
        .map(|permission| say(visit.language, &format!("admin-may-{}", permission.as_str()), &[]))
        .collect::<Result<_, _>>()?;
    let context =
        json!({ "waits": waits, "people": people, "data": data, "server": server, "permissions": may.join(", ") });
    visit.page(TEMPLATE, &context)
}

async fn people(service: &Service, waits: &mut Vec<Value>) -> Result<Value, Problem> {
    let views = &service.committer.stores.views;
    let counted = views.people_by_standing().await.map_err(store_problem)?;
    let of = |wanted: &dyn Fn(UserStatus, InvitationState) -> bool| -> u64 {
        counted.iter().filter(|((status, state), _)| wanted(*status, *state)).map(|(_, count)| count).sum()
    };
    let states = [
        ("failed", InvitationState::Failed),
        ("bounced", InvitationState::Bounced),
        ("unsent", InvitationState::Invited),
    ];
    for (message, state) in states {
        let waits_for_mail = |status| !matches!(status, UserStatus::Deleted | UserStatus::Disabled);
        let count = of(&|status, of_invitation| of_invitation == state && waits_for_mail(status));
        if count > 0 {
            waits.push(json!({
                "message": message, "count": count,
                "path": format!("/admin/people?invitation={}", state.as_str()), "is_bad": message != "unsent",
            }));
        }
    }
    let statuses: Vec<Value> = UserStatus::ALL
        .into_iter()
        .map(|status| json!({ "status": status, "count": of(&|known, _| known == status) }))
        .collect();
    Ok(json!({ "statuses": statuses, "total": counted.values().sum::<u64>() }))
}

async fn data(service: &Service, waits: &mut Vec<Value>) -> Result<Value, Problem> {
    let imports = service.committer.stores.views.imports(None, IMPORTS_LOOKED_AT).await.map_err(store_problem)?;
    let held = imports.iter().filter(|import| import.status == HELD).count();
    if held > 0 {
        waits.push(json!({ "message": "held", "count": held, "path": "/admin/imports", "is_bad": false }));
    }
    let sets: Vec<Value> = service
        .lineages
        .not_lost()
        .iter()
        .map(|set| {
            let definition = &set.definition;
            json!({
                "name": definition.name, "title": definition.title, "records": set.records,
                "withdrawn": set.standing.withdrawn,
            })
        })
        .collect();
    Ok(json!({ "last": imports.first(), "sets": sets }))
}

async fn server(service: &Service, waits: &mut Vec<Value>) -> Result<Value, Problem> {
    let depth = service.committer.queue.depth().await.map_err(queue_problem)?;
    if depth.dead > 0 {
        waits.push(json!({
            "message": "dead", "count": depth.dead, "path": "/admin/undone", "is_bad": true,
        }));
    }
    let quarantines = &service.committer.stores.quarantines;
    let quarantined = quarantines.recent(service.committer.clock.monotonic_us()).await.map_err(store_problem)?;
    if quarantined.iter().len() > 0 {
        waits.push(json!({
            "message": "quarantined", "count": quarantined.iter().len(), "path": "/admin/health", "is_bad": true,
        }));
    }
    let is_good = service.checkup.troubles(service).await.is_empty() && service.lineages.losses().is_empty();
    if !is_good {
        waits.push(json!({
            "message": "unhealthy", "count": 1, "path": "/admin/health", "is_bad": true,
        }));
    }
    Ok(json!({ "is_good": is_good }))
}
