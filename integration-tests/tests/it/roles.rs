//! No service reaches what another one owns.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::harness::{Site, database, shared};

/// The credentials that a service runs with: a section of its configuration, and the
/// schema that it leads to.
const ROLES: [(&str, &str, &str); 4] = [
    ("identity", "database", "identity"),
    ("identity", "key_database", "keys"),
    ("registration", "database", "registration"),
    ("orgtree", "database", "orgtree"),
];

fn url(site: &Site, service: &str, section: &str) -> String {
    site.config(service)[section]["url"].as_str().unwrap().to_owned()
}

/// The SQLSTATE of a refusal.
fn sqlstate(error: &sqlx::Error) -> String {
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn a_service_reads_its_own_schema_and_no_other() {
    let site = shared();
    let mut all = database::tables(&mut site.main_database().await).await;
    all.extend(database::tables(&mut site.key_database().await).await);
    for (service, section, schema) in ROLES {
        let mut connection = PgConnection::connect(&url(&site, service, section)).await.unwrap();
        let here: Vec<String> = if schema == "keys" {
            database::tables(&mut site.key_database().await).await
        } else {
            database::tables(&mut site.main_database().await).await
        };
        let mut own = 0;
        for table in &here {
            let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let read: Result<i64, _> = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
            if table.starts_with(&format!("{schema}.")) {
                read.unwrap();
                own += 1;
            } else {
                assert_eq!(sqlstate(&read.unwrap_err()), "42501", "{service} reads {table}");
            }
        }
        assert!(own > 0, "{schema} has no tables");
        assert!(all.len() >= here.len());
    }
}

#[tokio::test]
async fn a_service_does_not_even_connect_to_the_database_of_another() {
    let site = shared();
    for (service, section, schema) in ROLES {
        let url = url(&site, service, section);
        let (own, other) = if schema == "keys" {
            ("zhiyuan_keys", "zhiyuan")
        } else {
            ("zhiyuan", "zhiyuan_keys")
        };
        let elsewhere = url.replace(&format!("/{own}?"), &format!("/{other}?"));
        assert_ne!(url, elsewhere);
        let refused = PgConnection::connect(&elsewhere).await.unwrap_err();
        assert_eq!(sqlstate(&refused), "42501", "{service} connects to {other}");
    }
}

#[tokio::test]
async fn a_service_changes_rows_and_not_the_schema() {
    let site = shared();
    for (service, section, schema) in ROLES {
        let mut connection = PgConnection::connect(&url(&site, service, section)).await.unwrap();
        let tables = sqlx::query_scalar::<_, String>(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = $1",
        )
        .bind(schema)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        let mut statements = vec![format!("CREATE TABLE {schema}.planted (id int)")];
        for table in tables {
            statements.push(format!("TRUNCATE {table} CASCADE"));
            statements.push(format!("DROP TABLE {table} CASCADE"));
        }
        for sql in statements {
            let refused =
                sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut connection).await.unwrap_err();
            assert_eq!(sqlstate(&refused), "42501", "{service}: {sql}");
        }
    }
}
