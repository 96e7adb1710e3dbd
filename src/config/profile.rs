//! THE table of profiles: what trading partners of a kind need, key by key, each with its source and its reason.
//!
//! `docs/PROFILES.md` says the same to people, and a test holds it to this table. A row says what the partner needs, also
//! where that is the default today. What no source speaks of is in no row.

use core::fmt;

use super::nearest::nearest;
use super::value::{Flaw, Leaf, text};

/// A kind of trading partner.
#[derive(Debug, PartialEq)]
pub struct Profile {
    /// As `profile` names it.
    pub name: &'static str,
    /// Who that is.
    pub partner: &'static str,
    /// What it needs.
    pub settings: &'static [Setting],
}

/// One key of a profile.
#[derive(Debug, PartialEq)]
pub struct Setting {
    /// `listener` where the partner is a client of the gate, `pool` where it is a server behind it.
    pub section: &'static str,
    /// Whether it counts only where `tls` is `implicit`.
    pub implicit: bool,
    /// The key.
    pub key: &'static str,
    /// Its value.
    pub value: Written,
    /// A field note, or a page of somebody who knows.
    pub source: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// A value as TOML has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Written {
    /// `true` or `false`
    Flag(bool),
    /// In quotes.
    Word(&'static str),
}

impl fmt::Display for Setting {
    /// As a line of the file.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Written::Flag(flag) => write!(out, "{} = {flag}", self.key),
            Written::Word(word) => write!(out, "{} = {word:?}", self.key),
        }
    }
}

impl From<Written> for toml::Value {
    fn from(written: Written) -> Self {
        match written {
            Written::Flag(flag) => Self::Boolean(flag),
            Written::Word(word) => Self::String(word.to_owned()),
        }
    }
}

/// What a profile has done to one section.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Which.
    pub profile: &'static Profile,
    /// What it has set.
    pub set: Vec<&'static Setting>,
    /// What it would have set, if the file had not said something itself.
    pub overridden: Vec<&'static Setting>,
}

impl Leaf for &'static Profile {
    fn read(value: &toml::Value) -> Result<Self, Flaw> {
        let text = text(value, "in quotes")?;
        let names = || PROFILES.iter().map(|profile| profile.name);
        let found = PROFILES.iter().find(|profile| profile.name == text);
        found.ok_or_else(|| {
            let cure = match nearest(text, names()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("one of {}", names().collect::<Vec<_>>().join(", ")),
            };
            Flaw::new(format!("there is no profile {text:?}"), cure)
        })
    }
}

const ZOS_CLIENT_BANNER: Setting = Setting {
    section: "listener",
    implicit: true,
    key: "banner_first",
    value: Written::Flag(true),
    source: "P23; IBM z/OS SECUREIMPLICITZOS",
    reason: "by default the client begins TLS only when it has 220 in clear text; where its FTP.DATA says SECUREIMPLICITZOS FALSE, write banner_first = false",
};

const ZOS_CLIENT_RESUMPTION: Setting = Setting {
    section: "listener",
    implicit: false,
    key: "resumption",
    value: Written::Word("accepted"),
    source: "P4; IBM z/OS SECURE_SESSION_REUSE",
    reason: "by default it resumes where it can and makes a full handshake where it cannot, and with NONE it never resumes",
};

const ZOS_SERVER_BANNER: Setting = Setting {
    section: "pool",
    implicit: true,
    key: "banner_first",
    value: Written::Flag(true),
    source: "P23; IBM z/OS SECUREIMPLICITZOS",
    reason: "by default the server sends 220 in clear text and awaits TLS after it",
};

/// Every profile.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "zos",
        partner: "z/OS Communications Server, TLS by FTP itself (TLSMECHANISM FTP)",
        settings: &[ZOS_CLIENT_BANNER, ZOS_CLIENT_RESUMPTION, ZOS_SERVER_BANNER],
    },
    Profile {
        name: "zos-at-tls",
        partner: "z/OS Communications Server, TLS by the stack (TLSMECHANISM ATTLS)",
        settings: &[ZOS_CLIENT_BANNER, ZOS_CLIENT_RESUMPTION, ZOS_SERVER_BANNER],
    },
    Profile {
        name: "ibm-i",
        partner: "the FTP client of IBM i (AS/400)",
        settings: &[
            Setting {
                section: "listener",
                implicit: true,
                key: "assume_private",
                value: Written::Flag(true),
                source: "P26; IBM N1015192",
                reason: "on port 990 it takes PROT P for granted; data in clear text fails with TCP3D2C",
            },
            Setting {
                section: "listener",
                implicit: false,
                key: "resumption",
                value: Written::Word("accepted"),
                source: "P3; cyberduck PR #18399",
                reason: "it cannot resume on another port",
            },
        ],
    },
    Profile {
        name: "sterling",
        partner: "IBM Sterling B2B Integrator",
        settings: &[
            Setting {
                section: "listener",
                implicit: false,
                key: "resumption",
                value: Written::Word("accepted"),
                source: "P3; IBM node/1120695",
                reason: "its FTP client cannot resume: the JSSE under it knows sessions by host and port",
            },
            Setting {
                section: "pool",
                implicit: false,
                key: "empty",
                value: Written::Word("complete"),
                source: "E1; IBM IT13168",
                reason: "its server just closes the data connection of an empty file, and calls the transfer a success",
            },
        ],
    },
    Profile {
        name: "iis",
        partner: "the FTP service of Microsoft IIS, 7.5 and later",
        settings: &[Setting {
            section: "pool",
            implicit: false,
            key: "empty",
            value: Written::Word("verify"),
            source: "P15; Microsoft KB 2505047",
            reason: "it opens and closes data connections in the background of its replies, so 226 proves less: SIZE is asked before a file counts as empty",
        }],
    },
    Profile {
        name: "filezilla-server",
        partner: "FileZilla Server",
        settings: &[Setting {
            section: "pool",
            implicit: false,
            key: "data_protection",
            value: Written::Word("private"),
            source: "P1; FileZilla wiki, SSL/TLS",
            reason: "it wants data connections that resume the control session, and where PROT P is enforced it rejects PROT C",
        }],
    },
    Profile {
        name: "tumbleweed",
        partner: "Tumbleweed SecureTransport, and other clients that leave PBSZ or PROT out",
        settings: &[
            Setting {
                section: "listener",
                implicit: false,
                key: "assume_private",
                value: Written::Flag(true),
                source: "P25; IBM Sterling Secure Proxy ftp.ssl.pbsz.required",
                reason: "they say neither PBSZ nor PROT after AUTH TLS and expect data connections to be private",
            },
            Setting {
                section: "listener",
                implicit: false,
                key: "pbsz",
                value: Written::Word("optional"),
                source: "P25; IBM Sterling Secure Proxy ftp.ssl.pbsz.required",
                reason: "some of them say PROT without PBSZ",
            },
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{REFERENCE, with};
    use crate::config::{Config, read};
    use crate::policy::OnEmpty;

    #[test]
    fn each_profile_fills_what_the_file_leaves_to_it() {
        for profile in PROFILES {
            for section in ["listener", "pool"] {
                let is_for = profile.settings.iter().any(|one| one.section == section);
                let text = REFERENCE
                    .split("\n[[")
                    .find(|text| text.starts_with(section));
                let lists = text.unwrap().split("# profile =").next().unwrap();
                let is_listed = lists.contains(&format!(" {},", profile.name))
                    || lists.contains(&format!(" {}.", profile.name));
                assert_eq!(
                    is_listed, is_for,
                    "the reference lists the profiles of a {section}"
                );
                let settings = || profile.settings.iter().filter(|one| one.section == section);
                let apply = |keys: &str| {
                    let heading = format!("[[{section}]]");
                    read(&with(
                        &heading,
                        &format!("{heading}\nprofile = {:?}{keys}", profile.name),
                    ))
                };
                if settings().count() == 0 {
                    let faults = apply("").expect_err("it has nothing for this section");
                    assert!(
                        faults[0].problem.contains("has nothing for a"),
                        "{faults:?}"
                    );
                    continue;
                }
                let applied = |config: Config| match section {
                    "listener" => config.listeners[0].profile.clone().unwrap(),
                    _ => config.pools[0].profile.clone().unwrap(),
                };
                let config = apply("\ntls = \"implicit\"").unwrap();
                assert_eq!(config.warnings, [], "{}", profile.name);
                let whole = applied(config);
                assert_eq!(
                    whole.set,
                    settings().collect::<Vec<_>>(),
                    "{}",
                    profile.name
                );
                assert!(whole.overridden.is_empty());

                // Whatever the file says itself stays, whether it is the same or not.
                let own = settings().map(|one| format!("\n{one}")).collect::<String>();
                let left = applied(apply(&format!("\ntls = \"implicit\"{own}")).unwrap());
                assert_eq!(left.overridden, settings().collect::<Vec<_>>());
                assert!(left.set.is_empty());

                // What is about implicit TLS only is not set elsewhere, where it would be a warning.
                let explicit = apply("").unwrap();
                assert_eq!(explicit.warnings, []);
                assert!(applied(explicit).set.iter().all(|one| !one.implicit));
            }
        }
    }

    #[test]
    fn a_profile_means_its_keys_and_the_file_means_more() {
        let zos = "[[listener]]\nprofile = \"zos\"\ntls = \"implicit\"";
        assert!(read(&with("[[listener]]", zos)).unwrap().listeners[0].banner_first);
        let own = with("[[listener]]", &format!("{zos}\nbanner_first = false"));
        assert!(!read(&own).unwrap().listeners[0].banner_first);
        let iis = |keys: &str| {
            read(&with(
                "[[pool]]",
                &format!("[[pool]]\nprofile = \"iis\"{keys}"),
            ))
        };
        assert_eq!(iis("").unwrap().pools[0].empty, OnEmpty::Verify);
        let own = iis("\nempty = \"reject\"").unwrap();
        assert_eq!(own.pools[0].empty, OnEmpty::Reject);
        let faults = read(&with("[[pool]]", "[[pool]]\nprofile = \"sterlin\"")).unwrap_err();
        assert_eq!(faults[0].cure, "did you mean \"sterling\"?");
    }
}
