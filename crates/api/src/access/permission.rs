//! Permissions as types, so that a handler's signature can name one.

use brownie_domain::Action;

/// A permission, as a type that a handler's signature can name.
pub trait Permission: 'static {
    /// What it permits.
    const ACTION: Action;
}

/// The permissions, one type for each action.
pub mod perm {
    use brownie_domain::Action;

    macro_rules! permissions {
        ($($name:ident),+ $(,)?) => {$(
            #[doc = concat!("[`Action::", stringify!($name), "`].")]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl super::Permission for $name {
                const ACTION: Action = Action::$name;
            }
        )+};
    }

    permissions!(
        ApiKeysManage,
        AuditRead,
        ConfigsRead,
        ConfigsWrite,
        OrganizationRead,
        OrganizationWrite,
        TeamsRead,
        TeamsManage,
        TeamsWrite,
        MembersWrite,
        UsersRead,
        UsersWrite,
        IncidentsRead,
        IncidentsWrite,
        IncidentsDelete,
        AgentConfigsRead,
        AgentConfigsWrite,
        AgentConfigsDelete,
        StatsRead,
        StatsWrite,
        StatsDelete,
        EventsRead,
    );
}
