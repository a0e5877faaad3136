export {
  ChannelLayer,
  type ChannelLayerOptions,
  type Group,
  type JoinOptions,
  type Member,
  type Seat,
} from './channel-layer.ts';
export { bearerToken, Connection, type Consumer } from './consumer.ts';
export { type Admission, ConsumerServer, type ConsumerServerOptions } from './consumer-server.ts';
export { BackgroundError, ChannelError, ClosedError, InvalidArgumentError, UnavailableError } from './errors.ts';
export { isBefore, type JsonValue, Message } from './message.ts';
export { Presence, type PresenceEntry, type PresenceOptions } from './presence.ts';
