//! Start lines: `GET / HTTP/1.1` and `HTTP/1.1 200 OK`.

use super::super::abnf::{is_blank, is_tchar, is_text, is_token, trim_start};
use super::super::target::RequestTarget;
use super::{HeadError, HeadLimits, Version};

/// Maximum length of a method in bytes. The longest registered one, UPDATEREDIRECTREF, has 17.
pub const METHOD_MAX: usize = 32;

/// The kind of start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A request line.
    Request,
    /// A status line.
    Response,
}

/// The parts of `method SP request-target SP HTTP-version` (RFC 9112 section 3).
pub(super) struct RequestLine<'b> {
    pub method: &'b str,
    pub target: RequestTarget<'b>,
    pub version: Version,
}

/// The parts of `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 section 4).
pub(super) struct StatusLine<'b> {
    pub version: Version,
    pub status: u16,
    pub reason: &'b [u8],
}

/// Parses a request line.
pub(super) fn request<'b>(
    line: &'b [u8],
    limits: &HeadLimits,
) -> Result<RequestLine<'b>, HeadError> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(number), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::RequestLine);
    };
    let (Ok(method), Ok(target)) = (str::from_utf8(method), str::from_utf8(target)) else {
        return Err(HeadError::RequestLine);
    };
    if !is_token(method.as_bytes()) || target.is_empty() {
        return Err(HeadError::RequestLine);
    }
    let version = version(number)?;
    match method {
        "CONNECT" => return Err(HeadError::Connect),
        _ if method.len() > METHOD_MAX => return Err(HeadError::MethodTooLong),
        _ if target.len() > limits.target_bytes => return Err(HeadError::TargetTooLong),
        _ => {}
    }
    let target = RequestTarget::parse(method, target)?;
    Ok(RequestLine { method, target, version })
}

/// Parses a status line. The space after the status may be missing if there is no reason, as some
/// servers send it, and several blanks separate words like one space (RFC 9112 section 4). Statuses
/// above 599 have no class (RFC 9110 section 15), but servers in use send them; the client decides
/// what they mean.
pub(super) fn status(line: &[u8]) -> Result<StatusLine<'_>, HeadError> {
    let (number, rest) = line.split_at_checked(8).ok_or(HeadError::StatusLine)?;
    let version = version(number)?;
    let digits = behind_blanks(rest).ok_or(HeadError::StatusLine)?;
    let (digits, rest) = digits.split_at_checked(3).ok_or(HeadError::StatusLine)?;
    if !digits.iter().all(u8::is_ascii_digit) || digits[0] == b'0' {
        return Err(HeadError::StatusLine);
    }
    let status = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let reason = if rest.is_empty() { Some(rest) } else { behind_blanks(rest) };
    let reason = reason.filter(|reason| reason.iter().all(|&byte| is_text(byte)));
    Ok(StatusLine { version, status, reason: reason.ok_or(HeadError::StatusLine)? })
}

/// The text after the leading blanks. None if there are none.
fn behind_blanks(text: &[u8]) -> Option<&[u8]> {
    if text.first().is_some_and(|&byte| is_blank(byte)) { Some(trim_start(text)) } else { None }
}

/// Parses `HTTP/` DIGIT `.` DIGIT, in capitals (RFC 9112 section 2.3). `HTTP/2` and `HTTP/3`, as
/// people write them, count as versions, too.
fn version(text: &[u8]) -> Result<Version, HeadError> {
    match text.strip_prefix(b"HTTP/") {
        Some(b"1.1") => Ok(Version::Http11),
        Some(b"1.0") => Ok(Version::Http10),
        Some([b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9']) => {
            Err(HeadError::VersionUnsupported)
        }
        Some(_) | None => Err(HeadError::Version),
    }
}

/// The first byte of a client that speaks TLS (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Checks the first bytes that have arrived. TLS bytes can look like one line or several.
pub(super) fn check_first(start: Start, bytes: &[u8]) -> Result<(), HeadError> {
    let is_tls = start == Start::Request && bytes.first() == Some(&TLS_HANDSHAKE);
    if is_tls { Err(HeadError::Tls) } else { Ok(()) }
}

/// Checks a complete start line.
pub(super) fn check(start: Start, line: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    match start {
        Start::Request => request(line, limits).map(drop),
        Start::Response => status(line).map(drop),
    }
}

/// Checks the beginning of a start line, which may be empty or end with a CR.
pub(super) fn check_unfinished(
    start: Start,
    line: &[u8],
    limits: &HeadLimits,
) -> Result<(), HeadError> {
    let plausible = match start {
        Start::Request => line.first().is_none_or(|&byte| is_tchar(byte) || byte == b'\r'),
        Start::Response => line.iter().zip(b"HTTP/").all(|(sent, meant)| sent == meant),
    };
    if !plausible {
        return Err(HeadError::NotHttp);
    }
    let room = METHOD_MAX + limits.target_bytes + "  HTTP/1.1\r".len();
    if start == Start::Response || line.len() <= room {
        return Ok(());
    }
    let method_ends = line[..=METHOD_MAX].contains(&b' ');
    Err(if method_ends { HeadError::TargetTooLong } else { HeadError::MethodTooLong })
}
