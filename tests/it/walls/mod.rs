//! The walls around every tenant, one by one: what PostgreSQL itself refuses (`database`), what a
//! server refuses to start on (`footing`), and every method of every handle against another
//! organization (`handles`). The routes are walked in `http::isolation`; what does not compile is in
//! `house`.

mod database;
mod footing;
mod handles;
