"""The certificate on its way from its files to the datapath: at the start, renewed, reloaded."""

from __future__ import annotations

from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ferryman.config import Configuration, state_certificate
from ferryman.config.certificates import Certificate, CertificateError, read_certificate
from ferryman.config.values import Dtls, Tls
from ferryman.datapath import _native


@dataclass(frozen=True, slots=True)
class Secured:
    """How TLS and DTLS are spoken, and what the files of the certificate held."""

    tls: Tls
    certificate: Certificate

    @property
    def name(self) -> str | None:
        """A name of the certificate that clients will take."""
        if self.tls.is_own:
            return None
        return next((name for name in self.certificate.names if not name.startswith("*")), None)


def read_secured(configuration: Configuration) -> Secured | None:
    """What the files hold now; None where neither is spoken. May take its time.

    Raises CertificateError or StateFileError.
    """
    tls = configuration.tls
    if tls is None:
        return None
    if tls.is_own:
        state_certificate.read_or_make(configuration.state_dir)
    return Secured(tls, read_certificate(tls))


def secure(datapath: _native.Datapath, secured: Secured | None, log: FilteringBoundLogger) -> None:
    """Those who connect from now on are shown this. Raises CertificateError, and then may have
    done half of it."""
    if secured is None or not secured.tls.stream:
        datapath.stop_tls()
    if secured is None or secured.tls.dtls is Dtls.OFF:
        datapath.stop_dtls()
    if secured is None:
        return
    _serve_tls(datapath, secured)
    _serve_dtls(datapath, secured, log)
    log.info(
        "certificate in use",
        file=str(secured.tls.certificate),
        names=",".join(secured.certificate.names),
        expires=f"{secured.certificate.expires:%Y-%m-%d}",
    )


def secure_anew(
    datapath: _native.Datapath,
    old: Secured | None,
    new: Secured | None,
    log: FilteringBoundLogger,
) -> None:
    """The same for a server that runs. Raises CertificateError; then all is as it was."""
    try:
        secure(datapath, new, log)
    except CertificateError:
        secure(datapath, old, log)
        raise


def _serve_tls(datapath: _native.Datapath, secured: Secured) -> None:
    tls, certificate = secured.tls, secured.certificate
    if not tls.stream:
        return
    try:
        datapath.use_certificate(
            certificate.chain,
            certificate.key.get_secret_value(),
            cipher_suites=tls.cipher_suites,
            groups=tls.groups,
            tls12=tls.tls12,
            client_roots=certificate.client_roots,
        )
    except ValueError as error:
        raise CertificateError("cert", f"{tls.certificate}: {error}") from None


def _serve_dtls(datapath: _native.Datapath, secured: Secured, log: FilteringBoundLogger) -> None:
    """Raises CertificateError where the operator asked for it and it is not to be had."""
    tls, certificate = secured.tls, secured.certificate
    if tls.dtls is Dtls.OFF:
        return
    try:
        lacking = datapath.serve_dtls(
            certificate.chain,
            certificate.key.get_secret_value(),
            cipher_suites=tls.cipher_suites,
            groups=tls.groups,
            dtls12=tls.dtls12,
            client_roots=certificate.client_roots,
        )
    except ValueError as error:
        if tls.dtls is Dtls.ASKED:
            raise CertificateError("dtls", f"DTLS cannot be spoken: {error}") from None
        datapath.stop_dtls()
        log.warning("DTLS is not spoken", reason=str(error))
    else:
        if lacking is not None:
            log.info("DTLS 1.2 alone is spoken", reason=lacking)
