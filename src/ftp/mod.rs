//! The words of FTP: lines, verbs, commands, replies, addresses and feature lists, as bytes and as meaning.
//! Everything above uses it to read what a peer said and to write what the gate says.
//! It never performs I/O, never decides whether something is allowed, and never trusts a length it was told.

mod address;
mod code;
mod command;
mod feature;
mod host;
mod line;
mod reply;
mod verb;

pub use address::{
    BadEprt, EpsvAsk, pasv_reply, read_eprt, read_epsv_ask, read_epsv_reply, read_pasv_reply,
    read_port, write_eprt, write_epsv_reply, write_port,
};
pub use code::{Class, Code, occasion};
pub use command::{Command, Malformed};
pub use feature::{Features, Offer};
pub use host::read_host;
pub use line::{Cut, LineReader, Telnet, escape};
pub use reply::{BrokenReply, Reply, ReplyLine, ReplyReader};
pub use verb::{Answer, Argument, Direction, Row, Stage, Verb, is_foreign};
