//! A generated country in the tables of orgtree: its organizations by orgtree's own loader, some
//! of its people by the feed, as registration tells of them, and the others as rows.

mod people;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::PgConnection;
use zhiyuan_testkit::Country;
use zhiyuan_testkit::country::{HEADER, Organization};

use crate::load::rate;
use crate::report::{Findings, Goal, Row, per_second, say};
use crate::stage::Stage;

/// Everything below it is moved.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    pub(crate) code: String,
    /// Where it goes.
    pub(crate) target: String,
    pub(crate) organizations: u32,
    pub(crate) people: u64,
}

/// A country that is there.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) people: u64,
    pub(crate) root: String,
    pub(crate) city: String,
    pub(crate) county: String,
    pub(crate) moved: Moved,
    findings: Option<Findings>,
}

/// What there is to know of a country before it is loaded.
#[derive(Debug, Default)]
struct Marks {
    root: String,
    /// The largest of their kind.
    city: (u64, String),
    county: (u64, String),
    below_root: Vec<Organization>,
}

impl Marks {
    fn of(country: &Country) -> Self {
        let mut marks = Self { root: country.root(), ..Self::default() };
        for one in country.organizations() {
            let largest = match one.kind {
                "MUNICIPAL" => Some(&mut marks.city),
                "COUNTY" => Some(&mut marks.county),
                _ => None,
            };
            if let Some(largest) = largest.filter(|largest| one.people_with_below > largest.0) {
                *largest = (one.people_with_below, one.code.to_string());
            }
            if one.level == 1 {
                marks.below_root.push(one);
            }
        }
        marks
    }

    /// Right below the root, the one with about a tenth of all.
    fn moved(&self, people: u64) -> Option<Moved> {
        let wanted = people / 10;
        let one =
            self.below_root.iter().min_by_key(|one| one.people_with_below.abs_diff(wanted))?;
        // Something that others may lie below, as not every kind is large.
        let target = self
            .below_root
            .iter()
            .filter(|other| other.code != one.code)
            .max_by_key(|other| other.organizations)?;
        Some(Moved {
            code: one.code.to_string(),
            target: target.code.to_string(),
            organizations: one.organizations,
            people: one.people_with_below,
        })
    }
}

/// What the feed costs.
struct Told {
    events: usize,
    sequenced: Duration,
    applied: Duration,
}

/// Loads a country.
pub(crate) async fn load(
    stage: &mut Stage,
    country: &Country,
    told: u64,
) -> anyhow::Result<Loaded> {
    let marks = Marks::of(country);
    let moved = marks.moved(country.people).context("nothing lies below the root")?;
    say(&format!("  {} organizations, {} people", country.organizations, country.people));
    let path = stage.folder().join(format!("{}.csv", marks.root));
    write(country, &path)?;
    let mut admin = stage.database("zhiyuan").await?;
    let copied = copy(&mut admin, &path).await?;
    let before = stage.usage();
    let file = path.to_str().context("a path that is no text")?;
    let loaded = stage
        .operate("orgtree", &["migrate"], &[("ZHIYUAN_ORGTREE__SEED_ORGANIZATIONS", file)])
        .await?;
    let load_used = before.until(&stage.usage());
    say(&format!("  organizations: {:.1} s", loaded.as_secs_f64()));
    let events = people::tell(stage, &mut admin, country, told).await?;
    let rows = people::copy(&mut admin, country, told).await?;
    say(&format!("  rows of people: {:.1} s", rows.as_secs_f64()));
    let began = Instant::now();
    people::append_differences(&mut admin, country, told).await?;
    crate::fold::until_folded(&mut admin).await?;
    say(&format!("  figures: {:.1} s", began.elapsed().as_secs_f64()));
    people::index(&mut admin).await?;
    let findings = if told == 0 {
        None
    } else {
        let began = Instant::now();
        // With everything else that is in the tables.
        stage.operate("orgtree", &["verify"], &[]).await?;
        let verified = began.elapsed();
        say(&format!("  recounted: {:.1} s", verified.as_secs_f64()));
        let loading = Loading { copied, loaded, events, rows, verified };
        Some(loading.findings(country, told, &load_used.told()))
    };
    let Marks { root, city, county, .. } = marks;
    let people = country.people;
    Ok(Loaded { people, root, city: city.1, county: county.1, moved, findings })
}

impl Loaded {
    /// What loading it has found; once.
    pub(crate) fn findings(&mut self) -> Findings {
        self.findings.take().unwrap_or_default()
    }
}

/// How long what took.
struct Loading {
    copied: Duration,
    loaded: Duration,
    events: Told,
    rows: Duration,
    verified: Duration,
}

impl Loading {
    fn findings(self, country: &Country, told: u64, used: &str) -> Findings {
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let organizations = count(country.organizations.into());
        let (loaded, copied) = (rate(organizations, self.loaded), rate(organizations, self.copied));
        let applied = rate(self.events.events, self.events.applied);
        let sequenced = rate(self.events.events, self.events.sequenced);
        let rows = rate(count(country.people - told), self.rows);
        Findings {
            rows: vec![
                Row {
                    what: "organizations from a file",
                    measured: per_second(loaded),
                    against: format!("COPY into a plain table: {}", per_second(copied)),
                    ratio: Some(loaded / copied),
                    goal: Goal::None,
                },
                Row {
                    what: "events of people applied by orgtree",
                    measured: per_second(applied),
                    against: format!("COPY of rows of people: {}", per_second(rows)),
                    ratio: Some(applied / rows),
                    goal: Goal::None,
                },
            ],
            limits: vec![
                format!(
                    "{} organizations from the file, with the regions, in {:.1} s: {used}",
                    country.organizations,
                    self.loaded.as_secs_f64(),
                ),
                format!(
                    "{} events of {told} people were written and sequenced by registration \
                     ({}) while orgtree was not there, and applied once it was; the other \
                     {} people are rows that were copied, their figures folded as any; the \
                     recount of everything took {:.1} s and found no difference",
                    self.events.events,
                    per_second(sequenced),
                    country.people - told,
                    self.verified.as_secs_f64(),
                ),
            ],
        }
    }
}

/// Writes the file that orgtree loads.
fn write(country: &Country, path: &std::path::Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "{HEADER}")?;
    for one in country.organizations() {
        writeln!(file, "{}", one.line())?;
    }
    Ok(file.flush()?)
}

/// The same lines into a plain table.
async fn copy(admin: &mut PgConnection, path: &std::path::Path) -> anyhow::Result<Duration> {
    sqlx::raw_sql(
        "DROP TABLE IF EXISTS benchmark_organization;
         CREATE TABLE benchmark_organization (code text PRIMARY KEY, name text, kind text,
                                              parent_code text, region_code text)",
    )
    .execute(&mut *admin)
    .await?;
    let began = Instant::now();
    let mut copying =
        admin.copy_in_raw("COPY benchmark_organization FROM STDIN (FORMAT csv, HEADER)").await?;
    copying.read_from(tokio::fs::File::open(path).await?).await?;
    copying.finish().await?;
    Ok(began.elapsed())
}
