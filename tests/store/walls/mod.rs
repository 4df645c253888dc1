//! The walls around every tenant, one by one: as the catalogue has them (`catalogue`), what PostgreSQL
//! refuses (`database`), what a
//! server refuses to start on (`footing`), and every method of every handle against another
//! organization (`handles`). The routes are walked in `http::isolation`; what does not compile is in
//! `house`.

mod catalogue;
mod database;
mod handles;
mod methods;
mod theirs;
