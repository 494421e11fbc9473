"""The certificate on its way from its files to the datapath: at the start, and renewed."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ferryman.config import Configuration, state_certificate
from ferryman.config.certificates import Certificate, CertificateError, read_certificate
from ferryman.config.values import Dtls, Tls
from ferryman.datapath import _native


def secure(
    datapath: _native.Datapath, configuration: Configuration, log: FilteringBoundLogger
) -> str | None:
    """Show a certificate to whoever speaks TLS; returns a name of it that clients will take."""
    tls = configuration.tls
    if tls is None:
        return None
    if tls.is_own:
        state_certificate.read_or_make(configuration.state_dir)
    certificate = use_certificate(datapath, tls, log)
    if tls.is_own:
        return None
    return next((name for name in certificate.names if not name.startswith("*")), None)


def use_certificate(datapath: _native.Datapath, tls: Tls, log: FilteringBoundLogger) -> Certificate:
    """Read the files and hand them down. Raises CertificateError; then all stays as it was."""
    certificate = read_certificate(tls)
    try:
        if tls.stream:
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
    _serve_dtls(datapath, tls, certificate, log)
    log.info(
        "certificate in use",
        file=str(tls.certificate),
        names=",".join(certificate.names),
        expires=f"{certificate.expires:%Y-%m-%d}",
    )
    return certificate


def _serve_dtls(
    datapath: _native.Datapath, tls: Tls, certificate: Certificate, log: FilteringBoundLogger
) -> None:
    """Raises CertificateError where the operator asked for it and it is not to be had."""
    if tls.dtls is Dtls.OFF:
        return
    try:
        datapath.serve_dtls(
            certificate.chain,
            certificate.key.get_secret_value(),
            cipher_suites=tls.cipher_suites,
            groups=tls.groups,
            client_roots=certificate.client_roots,
        )
    except ValueError as error:
        if tls.dtls is Dtls.ASKED:
            raise CertificateError("dtls", f"DTLS cannot be spoken: {error}") from None
        log.warning("DTLS is not spoken", reason=str(error))


def renew_certificate(
    datapath: _native.Datapath, tls: Tls | None, log: FilteringBoundLogger
) -> None:
    """SIGUSR2: those who connect from now on see what the files hold now, if it is good."""
    if tls is None:
        log.info("there is no certificate to renew: TLS is not spoken")
        return
    try:
        use_certificate(datapath, tls, log)
    except CertificateError as error:
        log.error("the certificate is not renewed, the old one stays in use", reason=str(error))
