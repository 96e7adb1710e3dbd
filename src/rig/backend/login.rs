//! Who comes in, and how private it is: AUTH, PBSZ, PROT, USER, PASS (RFC 959, RFC 2228, RFC 4217).

use super::session::{Next, Session};
use crate::ftp::{Command, Verb};
use crate::leg::Fault;
use crate::limits;
use crate::rig::wait::within;
use crate::tls::ServerResume;

impl Session {
    /// Answers what may be said before a login; nothing for other verbs.
    pub(super) async fn answer_outside(
        &mut self,
        command: &Command,
    ) -> Result<Option<Next>, Fault> {
        let argument = command.argument.trim_ascii();
        let reply = match command.verb {
            Verb::Auth => return self.secure(argument).await.map(Some),
            Verb::Quit => {
                self.say("221 Goodbye.").await?;
                return Ok(Some(Next::Leave));
            }
            Verb::Pbsz if self.resume.is_none() => "503 AUTH comes first.",
            Verb::Pbsz => {
                self.buffer_agreed = true;
                "200 PBSZ=0"
            }
            Verb::Prot => self.protect(argument),
            Verb::User => self.name(argument),
            Verb::Pass => self.admit(&command.argument),
            Verb::Feat => FEATURES,
            Verb::Noop => "200 Fine.",
            Verb::Help => "214 RFC 959, 2228, 2389, 2428, 3659, 4217; SITE HELP for more.",
            Verb::Syst => "215 UNIX Type: L8",
            _ if !self.logged_in => "530 Log in first.",
            _ => return Ok(None),
        };
        self.say(reply).await?;
        Ok(Some(Next::Go))
    }

    async fn secure(&mut self, mechanism: &[u8]) -> Result<Next, Fault> {
        let known = [b"TLS".as_slice(), b"TLS-C", b"SSL"];
        let known = known
            .iter()
            .any(|name| name.eq_ignore_ascii_case(mechanism));
        let refusal = match &self.shared.options.tls {
            None => "502 There is no TLS here.",
            Some(_) if self.resume.is_some() => "503 It is private already.",
            Some(_) if !known => "504 AUTH TLS is what there is.",
            Some(base) => {
                let resume = ServerResume::new(base);
                let config = resume.control();
                self.resume = Some(resume);
                self.say("234 Go on in TLS.").await?;
                self.control.secure_as_server(config)?;
                let leg = self.control.leg_mut();
                let shaken = within(limits::RIG_PATIENCE, |cx| leg.poll_handshake(cx)).await;
                shaken.unwrap_or(Err(Fault::Closed))?;
                // Whoever was logged in in the clear is not the one who speaks now.
                (self.user, self.logged_in) = (None, false);
                return Ok(Next::Go);
            }
        };
        self.say(refusal).await?;
        Ok(Next::Go)
    }

    const fn protect(&mut self, level: &[u8]) -> &'static str {
        match level {
            _ if !self.buffer_agreed => "503 PBSZ comes first.",
            b"P" | b"p" => {
                self.private = true;
                "200 Data connections are private."
            }
            b"C" | b"c" => {
                self.private = false;
                "200 Data connections are in the clear."
            }
            _ => "536 P or C.",
        }
    }

    fn name(&mut self, user: &[u8]) -> &'static str {
        let options = &self.shared.options;
        if options.tls.is_some() && options.demand_tls && self.resume.is_none() {
            return "530 AUTH TLS comes first.";
        }
        (self.user, self.logged_in) = (Some(user.to_vec()), false);
        "331 And the password?"
    }

    fn admit(&mut self, password: &[u8]) -> &'static str {
        let expected = self.shared.options.password.as_deref();
        match (&self.user, expected) {
            (None, _) => "503 USER comes first.",
            (_, Some(expected)) if expected.as_bytes() != password => "530 Wrong password.",
            _ => {
                self.logged_in = true;
                "230 Come in."
            }
        }
    }
}

/// RFC 2389 section 3.2.
const FEATURES: &str = "211-Features:\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n EPSV\r\n PASV\r\n SIZE\r\n MDTM\r\n REST STREAM\r\n MLST type*;size*;modify*;perm*;\r\n TVFS\r\n UTF8\r\n XCRC\r\n211 End";
