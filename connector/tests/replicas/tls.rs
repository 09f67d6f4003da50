//! A database that is reached in TLS: whom the program trusts, and what it says of whom it does not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mock_dingtalk::MockDingtalk;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::cluster::Cluster;
use super::process::{PATIENCE, Replica, Site};
use super::trouble::{shown, steady};

/// A CA, and a file of its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = dir.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Certificate and key of a server, in PEM.
    fn vouches_for(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

pub(crate) async fn play() -> Result<(), String> {
    let cluster = Cluster::start().ok_or("there is no PostgreSQL")?;
    let mock = MockDingtalk::start().await.unwrap();
    let app = mock.app();
    let dir = tempfile::tempdir().unwrap();
    let (own, other) = (Authority::new(dir.path(), "own"), Authority::new(dir.path(), "other"));
    let database = (String::new(), cluster.port());
    let mut site = Site { mock, app, dir, database };
    let mut replica = Replica::new(&site, "r0").await;
    replica.is_direct = true;
    let port = cluster.port();
    let url = |host: &str, settings: &str| {
        format!("postgres://tester:s3cr3t@{host}:{port}/postgres?{settings}")
    };
    let trusting = |who: &Authority| format!("sslrootcert={}", who.file.display());
    let mut seen = String::new();
    let ask = async |site: &mut Site, what: &str, url: String, bundle: Option<&Authority>| {
        site.database.0 = url;
        let mut command = replica.command(site, &["gateway", "--dm-policy", "open"]);
        if let Some(Authority { file, .. }) = bundle {
            command.env("SSL_CERT_FILE", file);
        }
        // The end of the log is what it says.
        command.env("RUST_LOG", "off");
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        format!("-- {what}\n{}\n", shown(&output))
    };
    // No TLS over there yet.
    let require = url("localhost", &format!("sslmode=require&{}", trusting(&own)));
    seen += &ask(&mut site, "require, and the server has no TLS", require, None).await;
    let (cert, key) = own.vouches_for("localhost");
    cluster.speak_tls(&cert, &key);
    for (what, host, settings, bundle) in [
        (
            "verify-full, and the host has another name than the certificate",
            "127.0.0.1",
            format!("sslmode=verify-full&{}", trusting(&own)),
            None,
        ),
        (
            "verify-ca: the name is looked at, too",
            "127.0.0.1",
            format!("sslmode=verify-ca&{}", trusting(&own)),
            None,
        ),
        (
            "verify-full, and another CA vouches for it than sslrootcert names",
            "localhost",
            format!("sslmode=verify-full&{}", trusting(&other)),
            None,
        ),
        (
            "require, and another CA vouches for it than SSL_CERT_FILE names",
            "localhost",
            "sslmode=require".to_owned(),
            Some(&other),
        ),
        (
            "prefer, and the same: what speaks TLS is checked",
            "localhost",
            "sslmode=prefer".to_owned(),
            Some(&other),
        ),
        (
            "sslrootcert names a file that is not there",
            "localhost",
            "sslmode=require&sslrootcert=/nowhere/ca.pem".to_owned(),
            None,
        ),
        ("an sslmode that there is not", "localhost", "sslmode=allow".to_owned(), None),
    ] {
        seen += &ask(&mut site, what, url(host, &settings), bundle).await;
    }
    let replica_of_text = |seen: &str| steady(seen, &site, &replica, &[port]);
    let text = replica_of_text(&seen).replace(&site.dir.path().display().to_string(), "CERTS");
    if text.contains("s3cr3t") {
        return Err(format!("a password is shown: {text}"));
    }
    insta::assert_snapshot!("tls_refused", text);
    for settings in [
        format!("sslmode=verify-full&{}", trusting(&own)),
        format!("sslmode=require&sslnegotiation=postgres&{}", trusting(&own)),
        format!("sslmode=prefer&{}", trusting(&own)),
    ] {
        works(&mut site, &mut replica, url("localhost", &settings), &cluster).await?;
    }
    Ok(())
}

/// It answers, and both of its connections are in TLS.
async fn works(
    site: &mut Site,
    replica: &mut Replica,
    url: String,
    cluster: &Cluster,
) -> Result<(), String> {
    let before = site.app.sent().unwrap().len();
    site.database.0 = url;
    replica.start(site);
    replica.wait_log("connected to the gateway").await?;
    site.app.say("user0001", &format!("hello {before}")).await.unwrap();
    let sent = site.app.wait_sent(before + 1).await;
    sent.map_err(|e| format!("{e}\n{}", replica.log()))?;
    let links = "SELECT string_agg(CAST(s.ssl AS text), ' ') FROM pg_stat_ssl s
                 JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'ddingtalk'";
    let start = Instant::now();
    loop {
        let found = cluster.sql("postgres", links).concat();
        if found == "true true" {
            break;
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("its links are {found:?}"));
        }
    }
    let left = replica.ask(site, &["inbox", "list", "--all", "--json"]).await;
    let mut told = String::new();
    write!(told, "{}", shown(&left)).unwrap();
    if !left.status.success() || !told.contains(&format!("hello {before}")) {
        return Err(told);
    }
    match replica.end()? {
        Some(0) => Ok(()),
        code => Err(format!("it ended with {code:?}: {}", replica.log())),
    }
}
