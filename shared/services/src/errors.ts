/** Whatever goes wrong with a server. `service` says whose, `code` which kind. */
export class ServiceError extends Error {
  readonly service: string;
  readonly code: string;

  constructor(service: string, code: string, message: string, options?: ErrorOptions) {
    super(`${service}: ${message}`, options);
    this.name = new.target.name;
    this.service = service;
    this.code = code;
  }
}

/** No server of this kind can be had here. The message lists the ways to get one on this system. */
export class MissingServerError extends ServiceError {
  /** What a command line should exit with. */
  readonly exitCode = 3;

  constructor(service: string, message: string, options?: ErrorOptions & { code?: string }) {
    super(service, options?.code ?? 'MISSING_SERVER', message, options);
  }
}

/**
 * apt, Maven or npm could not fetch the server into the private cache. Carries their own words. `code` is PROVISION_FAILED, or
 * CHECKSUM_MISMATCH when what came is not what this repository lists.
 */
export class ProvisionError extends MissingServerError {
  readonly reason: string;

  constructor(service: string, reason: string, options?: ErrorOptions & { code?: string }) {
    super(service, reason, { code: 'PROVISION_FAILED', ...options });
    this.reason = reason;
  }
}

/** The port that the caller (or a restart) insists on belongs to another process. */
export class PortTakenError extends ServiceError {
  readonly port: number;

  constructor(service: string, port: number) {
    super(
      service,
      'PORT_TAKEN',
      `port ${port} on 127.0.0.1 is taken by another process. End that process, or leave the port out to get a free one.`,
    );
    this.port = port;
  }
}

/** The server's process ended before it was ready. */
export class ServerDiedError extends ServiceError {
  /** The last lines that the server printed. */
  readonly log: string;

  constructor(service: string, how: string, log: string, options?: ErrorOptions) {
    const words = log === '' ? 'It printed nothing.' : `Its last words:\n${log.replace(/^/gm, '  | ')}`;
    super(service, 'SERVER_DIED', `the server died at start (${how}). ${words}`, options);
    this.log = log;
  }
}

/** The process runs, but does not answer in time. */
export class StartTimeoutError extends ServiceError {
  readonly log: string;

  constructor(service: string, ms: number, log: string) {
    super(
      service,
      'START_TIMEOUT',
      `the server runs but did not answer within ${ms} ms. Is the machine overloaded? Its last words:\n${log.replace(/^/gm, '  | ')}`,
    );
    this.log = log;
  }
}

/** Nothing answers at a URL that the environment names. */
export class UnreachableUrlError extends ServiceError {
  readonly url: string;

  constructor(service: string, variable: string, url: string, why: string, options?: ErrorOptions) {
    super(
      service,
      'UNREACHABLE_URL',
      `${variable} names ${redact(url)}, which does not answer (${why}). Start that server, correct ${variable}, or unset it to let the lab find a server itself.`,
      options,
    );
    this.url = redact(url);
  }
}

/** The server answers, but not to us: a wrong user or password, or a right that is missing. */
export class LoginRefusedError extends ServiceError {
  readonly url: string;

  constructor(service: string, variable: string, url: string, why: string, options?: ErrorOptions) {
    super(
      service,
      'LOGIN_REFUSED',
      `${redact(url)} refuses us: ${why}. Correct the user and the password in ${variable}, or unset it.`,
      options,
    );
    this.url = redact(url);
  }
}

/** An environment variable says something that cannot be used. */
export class BadSettingError extends ServiceError {
  constructor(service: string, message: string) {
    super(service, 'BAD_SETTING', message);
  }
}

/** The URL variable names fewer independent servers than the lab needs. */
export class TooFewUrlsError extends ServiceError {
  /** Servers are missing, be it that others are there. */
  readonly exitCode = 3;

  constructor(service: string, variable: string, given: number, wanted: number) {
    super(
      service,
      'TOO_FEW_URLS',
      `this needs ${wanted} independent nodes, ${variable} names ${given} (two databases of one server are one node). ` +
        `List ${wanted} of them, separated by commas, or unset ${variable} to let the lab start its own.`,
    );
  }
}

/** The server does not take the settings that it was given while it runs; those before stay. */
export class ConfigRefusedError extends ServiceError {
  /** The server's own words. */
  readonly log: string;

  constructor(service: string, file: string, log: string) {
    super(
      service,
      'CONFIG_REFUSED',
      `the server refuses the new ${file}, and keeps to the one before. Its words:\n${log.replace(/^/gm, '  | ')}`,
    );
    this.log = log;
  }
}

/** This fault cannot be injected into this node: it is not ours, or it is down. */
export class FaultUnavailableError extends ServiceError {
  constructor(service: string, fault: string, why: string, options?: ErrorOptions) {
    super(service, 'FAULT_UNAVAILABLE', `cannot ${fault} this node: ${why}`, options);
  }
}

/** A URL without its password, for messages and logs. */
export function redact(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):.*@/, '$1:***@');
}
