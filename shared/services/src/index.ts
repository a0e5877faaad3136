/** Real servers for demos and tests, and the faults that can befall them. */
export { onAnnounce } from './announce.ts';
export { inspectServices, type ServiceReport } from './doctor.ts';
export {
  BadSettingError,
  FaultUnavailableError,
  LoginRefusedError,
  MissingServerError,
  PortTakenError,
  ProvisionError,
  ServerDiedError,
  ServiceError,
  StartTimeoutError,
  TooFewUrlsError,
  UnreachableUrlError,
} from './errors.ts';
export { type PostgresOptions, type PostgresServers, startPostgres } from './postgres.ts';
export { type RedisOptions, type RedisServers, startRedis } from './redis.ts';
export type { NetworkProxy as Proxy, Node, Origin, Servers } from './types.ts';
