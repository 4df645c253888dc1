//! The whole URL map on one screen. A route is here or it does not exist; tests walk this table.

use std::collections::BTreeMap;

use actix_web::{http::Method, middleware::from_fn, web};
use brownie_domain::Action;

use crate::{
    Code, Problem, access, edges, health,
    openapi::{Operation, describe, pages as docs},
    problem::page as problem,
    v1::{
        agent_configs, api_keys, audit, auth, authz, backups, configs, configs_resolve, events,
        incidents, incidents_bulk, members, operations, organizations, stats, stats_summary, teams,
        users,
    },
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
    /// Whether it is for those who operate the installation, and for no tenant.
    pub operators_only: bool,
    /// The handler's name: resource and verb.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub summary: &'static str,
    /// What may stand in the way besides what the signature tells.
    pub problems: &'static [Code],
    pub(crate) describe: fn(&mut Operation<'_>),
    handler: fn(Method) -> actix_web::Route,
}

macro_rules! routes {
    ($($method:ident $path:literal $action:tt => $handler:path: $summary:literal $($problem:ident)*;)+) => {
        vec![$(Route {
            method: Method::$method,
            path: $path,
            action: action!($action),
            operators_only: operators_only!($action),
            name: stringify!($handler),
            summary: $summary,
            problems: &[$(Code::$problem),*],
            describe: |operation| describe($handler, operation),
            handler: |method| web::method(method).to($handler),
        },)+]
    };
}

macro_rules! action {
    (-) => {
        None
    };
    (Operator) => {
        None
    };
    ($action:ident) => {
        Some(Action::$action)
    };
}

macro_rules! operators_only {
    (Operator) => {
        true
    };
    ($other:tt) => {
        false
    };
}

/// Returns all routes.
#[expect(clippy::too_many_lines, reason = "each is one line")]
#[rustfmt::skip]
pub fn table() -> Vec<Route> {
    routes![
        GET    "/"                                          - => health::index: "What this is, and where the rest is";
        GET    "/health"                                    - => health::ready: "Whether requests can be served, at the original's path";
        GET    "/livez"                                     - => health::live: "A sign of life";
        GET    "/readyz"                                    - => health::ready: "Whether requests can be served";
        GET    "/metrics"                                   - => health::metrics_of_api: "Metrics for Prometheus" Forbidden Unauthenticated;
        GET    "/problems/{code}"                           - => problem::explain: "What a problem's code means";
        GET    "/docs"                                      - => docs::swagger: "This API, to try out";
        GET    "/docs/{asset}"                              - => docs::asset: "A part of these pages";
        GET    "/redoc"                                     - => docs::redoc: "This API, to read";
        GET    "/openapi.json"                              - => docs::openapi: "This API, for programs";
        GET    "/api/v1/openapi.json"                       - => docs::openapi: "This API, for programs, at the original's path";

        POST   "/api/v1/auth/signup"                        - => auth::sign_up: "Found an organization and become its admin" AlreadyExists Forbidden;
        POST   "/api/v1/auth/login"                         - => auth::log_in: "Log in with a password" WrongCredentials;
        POST   "/api/v1/auth/refresh"                       - => auth::tokens::refresh: "Continue a session" InvalidRefreshToken;
        POST   "/api/v1/auth/logout"                        UsersRead => auth::tokens::log_out: "End this session";
        POST   "/api/v1/auth/logout-all"                    UsersRead => auth::tokens::log_out_everywhere: "End all of my sessions";
        GET    "/api/v1/auth/oidc/login"                    - => auth::oidc::log_in: "Log in by OpenID Connect" NotImplemented;
        GET    "/api/v1/auth/oidc/callback"                 - => auth::oidc::callback: "Where the issuer sends a browser back" LogInRefused OrganizationNeeded NotImplemented;
        POST   "/api/v1/auth/oidc/link"                     UsersRead => auth::oidc::link: "Link my account to who I am at the issuer" LogInRefused AlreadyExists NotImplemented;
        GET    "/api/v1/okta/login"                         - => auth::oidc::log_in_by_url: "Where to log in by OpenID Connect" NotImplemented;
        GET    "/api/v1/okta/callback"                      - => auth::oidc::callback: "Where the issuer sends a browser back, at the original's path" LogInRefused OrganizationNeeded NotImplemented;
        GET    "/api/v1/auth/okta/login"                    - => auth::oidc::log_in_by_url: "Where to log in, at another path of the original" NotImplemented;
        GET    "/api/v1/auth/okta/callback"                 - => auth::oidc::callback: "Where the issuer sends a browser back, at another path of the original" LogInRefused OrganizationNeeded NotImplemented;
        GET    "/.well-known/jwks.json"                     - => auth::tokens::jwks: "The keys that sign access tokens";
        GET    "/api/v1/auth/me"                            UsersRead => auth::me: "Who am I";
        GET    "/api/v1/okta/userinfo"                      UsersRead => auth::me: "Who am I, at the original's path";

        GET    "/api/v1/authz/explain"                      UsersRead => authz::explain: "What I may do, and why" NotFound;

        GET    "/api/v1/organizations"                      OrganizationRead => organizations::list: "My organization, as a list";
        GET    "/api/v1/organizations/{org_id}"             OrganizationRead => organizations::get: "My organization";
        PUT    "/api/v1/organizations/{org_id}"             OrganizationWrite => organizations::update: "Change my organization, as old clients do" AlreadyExists;
        PATCH  "/api/v1/organizations/{org_id}"             OrganizationWrite => organizations::update: "Change my organization" AlreadyExists;

        GET    "/api/v1/organizations/{org_id}/teams"       TeamsRead => teams::list: "Teams, the newest first";
        POST   "/api/v1/organizations/{org_id}/teams"       TeamsManage => teams::create: "Create a team" AlreadyExists LimitReached;
        GET    "/api/v1/teams/{team_id}"                    TeamsRead => teams::get: "One team";
        PUT    "/api/v1/teams/{team_id}"                    TeamsWrite => teams::update: "Change a team, as old clients do" AlreadyExists;
        PATCH  "/api/v1/teams/{team_id}"                    TeamsWrite => teams::update: "Change a team" AlreadyExists;
        DELETE "/api/v1/teams/{team_id}"                    TeamsManage => teams::delete: "Delete a team" InUse;
        POST   "/api/v1/teams/{team_id}/restore"            TeamsManage => teams::restore: "Bring a deleted team back" AlreadyExists LimitReached;

        GET    "/api/v1/teams/{team_id}/members"            TeamsRead => members::list: "Members of a team";
        POST   "/api/v1/teams/{team_id}/members"            MembersWrite => members::add: "Add somebody to a team" AlreadyExists LimitReached;
        GET    "/api/v1/teams/{team_id}/members/{user_id}"  TeamsRead => members::get: "One member of a team";
        PUT    "/api/v1/teams/{team_id}/members/{user_id}"  MembersWrite => members::change_role: "Change a role in a team" LastAdmin;
        DELETE "/api/v1/teams/{team_id}/members/{user_id}"  MembersWrite => members::remove: "Take somebody out of a team" HomeTeam LastAdmin;

        GET    "/api/v1/organizations/{org_id}/users"       UsersRead => users::list: "Users, the newest first";
        POST   "/api/v1/organizations/{org_id}/users"       UsersWrite => users::create: "Create a user" AlreadyExists LimitReached;
        GET    "/api/v1/users/{user_id}"                    UsersRead => users::get: "One user";
        PUT    "/api/v1/users/{user_id}"                    UsersRead => users::update: "Change a user, as old clients do" AlreadyExists LimitReached LastAdmin;
        PATCH  "/api/v1/users/{user_id}"                    UsersRead => users::update: "Change a user" AlreadyExists LimitReached LastAdmin;
        DELETE "/api/v1/users/{user_id}"                    UsersWrite => users::delete: "Delete a user" LastAdmin;
        POST   "/api/v1/users/{user_id}/password"           UsersRead => auth::password::change: "Change a password";
        POST   "/api/v1/users/{user_id}/revoke-sessions"    UsersWrite => auth::password::revoke_sessions: "End all sessions of a user";
        POST   "/api/v1/users/{user_id}/restore"            UsersWrite => users::restore: "Bring a deleted user back" AlreadyExists LimitReached;

        GET    "/api/v1/teams/{team_id}/incidents"          IncidentsRead => incidents::list: "Incidents of a team, the newest first";
        POST   "/api/v1/teams/{team_id}/incidents"          IncidentsWrite => incidents::create: "Report an incident" AlreadyExists;
        POST   "/api/v1/teams/{team_id}/incidents/bulk"     IncidentsWrite => incidents_bulk::create: "Report many incidents, all or none" AlreadyExists;
        GET    "/api/v1/incidents/{incident_id}"            IncidentsRead => incidents::get: "One incident";
        PUT    "/api/v1/incidents/{incident_id}"            IncidentsWrite => incidents::update: "Change an incident, as old clients do" IllegalTransition;
        PATCH  "/api/v1/incidents/{incident_id}"            IncidentsWrite => incidents::update: "Change an incident" IllegalTransition;
        DELETE "/api/v1/incidents/{incident_id}"            IncidentsDelete => incidents::delete: "Delete an incident";
        POST   "/api/v1/incidents/{incident_id}/restore"    IncidentsDelete => incidents::restore: "Bring a deleted incident back" AlreadyExists;

        GET    "/api/v1/teams/{team_id}/agent-configs"      AgentConfigsRead => agent_configs::list: "Agent configurations of a team";
        POST   "/api/v1/teams/{team_id}/agent-configs"      AgentConfigsWrite => agent_configs::create: "Create an agent configuration" AlreadyExists;
        GET    "/api/v1/agent-configs/{config_id}"          AgentConfigsRead => agent_configs::get: "One agent configuration";
        PUT    "/api/v1/agent-configs/{config_id}"          AgentConfigsWrite => agent_configs::update: "Change an agent configuration, as old clients do" AlreadyExists;
        PATCH  "/api/v1/agent-configs/{config_id}"          AgentConfigsWrite => agent_configs::update: "Change an agent configuration" AlreadyExists;
        DELETE "/api/v1/agent-configs/{config_id}"          AgentConfigsDelete => agent_configs::delete: "Delete an agent configuration";
        POST   "/api/v1/agent-configs/{config_id}/restore"  AgentConfigsDelete => agent_configs::restore: "Bring a deleted agent configuration back" AlreadyExists;

        GET    "/api/v1/configs/resolve"                    ConfigsRead => configs_resolve::get: "What applies, and why" Invalid;
        GET    "/api/v1/configs"                            ConfigsRead => configs::list: "Configurations, the newest first";
        POST   "/api/v1/configs"                            ConfigsWrite => configs::create: "Create a configuration" LimitReached;
        GET    "/api/v1/configs/{configuration_id}"         ConfigsRead => configs::get: "One configuration";
        PUT    "/api/v1/configs/{configuration_id}"         ConfigsWrite => configs::update: "Change a configuration, as old clients do";
        PATCH  "/api/v1/configs/{configuration_id}"         ConfigsWrite => configs::update: "Change a configuration";
        DELETE "/api/v1/configs/{configuration_id}"         ConfigsWrite => configs::delete: "Delete a configuration";
        POST   "/api/v1/configs/{configuration_id}/restore" ConfigsWrite => configs::restore: "Bring a deleted configuration back" LimitReached;

        GET    "/api/v1/teams/{team_id}/stats"              StatsRead => stats::list_of_team: "Values of a team, the newest first";
        POST   "/api/v1/teams/{team_id}/stats"              StatsWrite => stats::create: "Record a measured value";
        GET    "/api/v1/teams/{team_id}/stats/summary"      StatsRead => stats_summary::of_team: "Values of a team in windows of time";
        GET    "/api/v1/organizations/{org_id}/stats/summary" OrganizationRead => stats_summary::of_organization: "Values of the organization in windows of time";
        GET    "/api/v1/organizations/{org_id}/stats"       OrganizationRead => stats::list: "Values of the organization";
        GET    "/api/v1/stats/{stat_id}"                    StatsRead => stats::get: "One measured value";
        DELETE "/api/v1/stats/{stat_id}"                    StatsDelete => stats::delete: "Delete a measured value";
        POST   "/api/v1/stats/{stat_id}/restore"            StatsDelete => stats::restore: "Bring a deleted value back";

        GET    "/api/v1/incidents/{incident_id}/timeline"   IncidentsRead => audit::timeline: "What happened to an incident";
        GET    "/api/v1/api-keys"                           ApiKeysManage => api_keys::list: "API keys, the newest first";
        POST   "/api/v1/api-keys"                           ApiKeysManage => api_keys::create: "Create an API key" AlreadyExists;
        GET    "/api/v1/api-keys/{key_id}"                  ApiKeysManage => api_keys::get: "One API key";
        POST   "/api/v1/api-keys/{key_id}/rotate"           ApiKeysManage => api_keys::rotate: "Give an API key another text";
        DELETE "/api/v1/api-keys/{key_id}"                  ApiKeysManage => api_keys::revoke: "Revoke an API key";

        GET    "/api/v1/audit-log"                          AuditRead => audit::list: "Who did what";
        GET    "/api/v1/events"                             EventsRead => events::list: "Follow what happens";

        GET    "/api/v1/operations"                         Operator => operations::list: "Long work on the whole database, the newest first";
        POST   "/api/v1/operations"                         Operator => operations::create: "Ask for an operation";
        GET    "/api/v1/operations/{operation_id}"          Operator => operations::get: "One operation";
        POST   "/api/v1/operations/{operation_id}/cancel"   Operator => operations::cancel: "Call an operation off";
        POST   "/backup/create"                             Operator => backups::create: "Make a backup";
        POST   "/backup/run-now"                            Operator => backups::create: "Make a backup, at another path of the original";
        GET    "/backup/list"                               Operator => backups::list: "Backups, the newest first";
        POST   "/backup/restore"                            Operator => backups::restore: "Make a database of a backup";
        GET    "/backup/status"                             Operator => backups::status: "How backups are";
        POST   "/backup/cleanup"                            Operator => backups::cleanup: "Remove the backups that nobody wants to keep";
        GET    "/backup/next-backup"                        Operator => backups::next: "When the next backup is made";
        DELETE "/backup/{backup_name}"                      Operator => backups::delete: "Remove a backup" Invalid;
    ]
}

/// Those that may take as long as they like: they say how long that is.
const WAIT_ON_PURPOSE: &[&str] = &["/api/v1/events"];

/// Registers the table. A path with a method that it does not have is 405, with `Allow`.
pub fn configure(config: &mut web::ServiceConfig) {
    let mut by_path: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
    for route in table() {
        by_path.entry(route.path).or_default().push(route);
    }
    for (path, routes) in by_path {
        let mut allow = Vec::new();
        let mut resource = web::resource(path);
        let waits = WAIT_ON_PURPOSE.contains(&path);
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
        let resource = resource.default_service(web::to(refuse));
        if waits {
            config.service(resource);
        } else {
            config.service(resource.wrap(from_fn(edges::bounded)));
        }
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

    const OPEN: &[&str] = &[
        "/api/v1/auth/login",
        "/api/v1/auth/oidc/callback",
        "/api/v1/auth/okta/callback",
        "/api/v1/auth/okta/login",
        "/api/v1/auth/oidc/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/signup",
        "/api/v1/okta/callback",
        "/api/v1/okta/login",
        "/api/v1/openapi.json",
    ];

    #[test]
    fn what_is_below_api_is_for_those_we_know() {
        for route in table() {
            let open = OPEN.contains(&route.path) || !route.path.starts_with("/api/");
            let is_known = route.action.is_some() || route.operators_only;
            assert_eq!(is_known, !open || route.path.starts_with("/backup/"), "{route:?}");
        }
    }
}
