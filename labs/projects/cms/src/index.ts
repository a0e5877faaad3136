export * from './article.ts';
export { asHtml, clean, plainText } from './clean.ts';
export { CONTENT_SCHEMA, ContentStore, type Found, type Note } from './content.ts';
export * from './errors.ts';
export { Gateway, type GatewayOptions, type Hits } from './gateway.ts';
export { type Kind, MediaStore, MOST_BYTES, TYPES } from './media.ts';
export { type Nodes, openNodes } from './nodes.ts';
export { documentOf, Relay, type RelayOptions, repeat } from './relay.ts';
export { type Document, type Hit, type Operation, type PutResult, SearchIndex, type SearchOptions } from './search.ts';
export {
  type GatewayUrls,
  type Parts,
  putter,
  type ServeOptions,
  type Service,
  serveContent,
  serveGateway,
  serveMedia,
  serveSearch,
  serveUsers,
} from './start.ts';
export { USERS_SCHEMA, UserStore } from './users.ts';
