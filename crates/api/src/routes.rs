//! The whole URL map on one screen. A route is here or it does not exist; tests walk this table.

use std::collections::BTreeMap;

use actix_web::{http::Method, web};
use brownie_domain::Action;

use crate::{
    Code, Problem, access, health,
    v1::{agent_configs, auth, events, incidents, members, organizations, stats, teams, users},
};

/// One line of the table.
#[derive(Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// What a caller must be permitted; none for what everybody may ask.
    pub action: Option<Action>,
    handler: fn(Method) -> actix_web::Route,
}

macro_rules! routes {
    ($($method:ident $path:literal $action:tt => $handler:path,)+) => {
        vec![$(Route {
            method: Method::$method,
            path: $path,
            action: action!($action),
            handler: |method| web::method(method).to($handler),
        },)+]
    };
}

macro_rules! action {
    (-) => {
        None
    };
    ($action:ident) => {
        Some(Action::$action)
    };
}

/// Returns all routes.
#[rustfmt::skip]
pub fn table() -> Vec<Route> {
    routes![
        GET    "/"                                          - => health::index,
        GET    "/health"                                    - => health::ready,
        GET    "/livez"                                     - => health::live,
        GET    "/readyz"                                    - => health::ready,
        GET    "/metrics"                                   - => health::metrics,
        GET    "/problems/{code}"                           - => health::problem,

        POST   "/api/v1/auth/signup"                        - => auth::sign_up,
        POST   "/api/v1/auth/login"                         - => auth::log_in,
        GET    "/api/v1/auth/me"                            UsersRead => auth::me,

        GET    "/api/v1/organizations"                      OrganizationRead => organizations::list,
        GET    "/api/v1/organizations/{org_id}"             OrganizationRead => organizations::get,
        PUT    "/api/v1/organizations/{org_id}"             OrganizationWrite => organizations::update,
        PATCH  "/api/v1/organizations/{org_id}"             OrganizationWrite => organizations::update,

        GET    "/api/v1/organizations/{org_id}/teams"       TeamsRead => teams::list,
        POST   "/api/v1/organizations/{org_id}/teams"       TeamsManage => teams::create,
        GET    "/api/v1/teams/{team_id}"                    TeamsRead => teams::get,
        PUT    "/api/v1/teams/{team_id}"                    TeamsWrite => teams::update,
        PATCH  "/api/v1/teams/{team_id}"                    TeamsWrite => teams::update,
        DELETE "/api/v1/teams/{team_id}"                    TeamsManage => teams::delete,
        POST   "/api/v1/teams/{team_id}/restore"            TeamsManage => teams::restore,

        GET    "/api/v1/teams/{team_id}/members"            TeamsRead => members::list,
        POST   "/api/v1/teams/{team_id}/members"            MembersWrite => members::add,
        PUT    "/api/v1/teams/{team_id}/members/{user_id}"  MembersWrite => members::change_role,
        DELETE "/api/v1/teams/{team_id}/members/{user_id}"  MembersWrite => members::remove,

        GET    "/api/v1/organizations/{org_id}/users"       UsersRead => users::list,
        POST   "/api/v1/organizations/{org_id}/users"       UsersWrite => users::create,
        GET    "/api/v1/users/{user_id}"                    UsersRead => users::get,
        PUT    "/api/v1/users/{user_id}"                    UsersRead => users::update,
        PATCH  "/api/v1/users/{user_id}"                    UsersRead => users::update,
        DELETE "/api/v1/users/{user_id}"                    UsersWrite => users::delete,
        POST   "/api/v1/users/{user_id}/restore"            UsersWrite => users::restore,

        GET    "/api/v1/teams/{team_id}/incidents"          IncidentsRead => incidents::list,
        POST   "/api/v1/teams/{team_id}/incidents"          IncidentsWrite => incidents::create,
        GET    "/api/v1/incidents/{incident_id}"            IncidentsRead => incidents::get,
        PUT    "/api/v1/incidents/{incident_id}"            IncidentsWrite => incidents::update,
        PATCH  "/api/v1/incidents/{incident_id}"            IncidentsWrite => incidents::update,
        DELETE "/api/v1/incidents/{incident_id}"            IncidentsDelete => incidents::delete,
        POST   "/api/v1/incidents/{incident_id}/restore"    IncidentsDelete => incidents::restore,

        GET    "/api/v1/teams/{team_id}/agent-configs"      AgentConfigsRead => agent_configs::list,
        POST   "/api/v1/teams/{team_id}/agent-configs"      AgentConfigsWrite => agent_configs::create,
        GET    "/api/v1/agent-configs/{config_id}"          AgentConfigsRead => agent_configs::get,
        PUT    "/api/v1/agent-configs/{config_id}"          AgentConfigsWrite => agent_configs::update,
        PATCH  "/api/v1/agent-configs/{config_id}"          AgentConfigsWrite => agent_configs::update,
        DELETE "/api/v1/agent-configs/{config_id}"          AgentConfigsDelete => agent_configs::delete,
        POST   "/api/v1/agent-configs/{config_id}/restore"  AgentConfigsDelete => agent_configs::restore,

        GET    "/api/v1/teams/{team_id}/stats"              StatsRead => stats::list_of_team,
        POST   "/api/v1/teams/{team_id}/stats"              StatsWrite => stats::create,
        GET    "/api/v1/organizations/{org_id}/stats"       OrganizationRead => stats::list,
        GET    "/api/v1/stats/{stat_id}"                    StatsRead => stats::get,
        DELETE "/api/v1/stats/{stat_id}"                    StatsDelete => stats::delete,
        POST   "/api/v1/stats/{stat_id}/restore"            StatsDelete => stats::restore,

        GET    "/api/v1/events"                             EventsRead => events::list,
    ]
}

/// Registers the table. A path with a method that it does not have is 405, with `Allow`.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut by_path: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
    for route in table() {
        by_path.entry(route.path).or_default().push(route);
    }
    for (path, routes) in by_path {
        let mut allow = Vec::new();
        let mut resource = web::resource(path);
        for route in routes {
            allow.push(route.method.to_string());
            // Wherever there is GET there is HEAD (RFC 9110 section 9.1).
            if route.method == Method::GET {
                allow.push(Method::HEAD.to_string());
                resource = resource.route((route.handler)(Method::HEAD));
            }
            resource = resource.route((route.handler)(route.method));
        }
        let allow = allow.join(", ");
        let refuse = move || {
            let allow = allow.clone();
            async move { MethodNotAllowed { allow } }
        };
        config.service(resource.default_service(web::to(refuse)));
    }
}

/// The answer to a method that a path does not have.
struct MethodNotAllowed {
    allow: String,
}

impl actix_web::Responder for MethodNotAllowed {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, request: &actix_web::HttpRequest) -> actix_web::HttpResponse {
        use actix_web::http::header;
        let problem = Problem::new(Code::MethodNotAllowed);
        let mut response = problem.response(Some(access::request_id(request)));
        if let Ok(allow) = self.allow.parse() {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_is_there_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for route in table() {
            assert!(seen.insert((route.method.to_string(), route.path)), "{route:?}");
        }
    }

    #[test]
    fn what_is_below_api_is_for_those_we_know() {
        for route in table() {
            let open = matches!(route.path, "/api/v1/auth/signup" | "/api/v1/auth/login")
                || !route.path.starts_with("/api/");
            assert_eq!(route.action.is_none(), open, "{route:?}");
        }
    }
}
