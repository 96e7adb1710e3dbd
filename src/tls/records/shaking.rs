//! The end of a handshake: from rustls, which has made it, to who makes the records from then on.

use rustls::ProtocolVersion;

use super::{Direct, Fault, Records, Side, Turn, next_record};

impl Records {
    /// rustls has done what it can with what it was shown: it is shown another record, or has done its part.
    pub(super) fn shake_on(&mut self) -> Result<Turn, Fault> {
        match std::mem::replace(&mut self.side, Side::Nobody) {
            Side::Shaking { library, shown } if library.is_handshaking() => {
                let more = next_record(&self.incoming.filled()[shown..]);
                self.side = Side::Shaking {
                    library,
                    shown: shown + more,
                };
                Ok(if more > 0 { Turn::Again } else { Turn::Rest })
            }
            Side::Shaking { library, shown } => {
                self.side = match library.protocol_version() {
                    Some(ProtocolVersion::TLSv1_3) if shown > 0 => {
                        return Err(Fault::Misbehaved("bytes beside Finished".into()));
                    }
                    Some(ProtocolVersion::TLSv1_3) => {
                        Side::Direct(Box::new(Direct::adopt(library)?))
                    }
                    _ => Side::Library(library),
                };
                Ok(Turn::Again)
            }
            side => {
                self.side = side;
                Ok(Turn::Rest)
            }
        }
    }
}
