import type { Attributes } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';

/** Keys whose values are what somebody typed, sent or is: never on a waybill, which every depot reads. */
const SECRET =
  /^(?:url\.query|exception\.(?:message|stacktrace)|(?:client|source|user|enduser)\..*|http\.client_ip|net\.(?:peer|sock\.peer)\..*|network\.peer\..*|user_agent\..*|http\.user_agent|https?\.(?:request|response)\.header\..*|rpc\.(?:request|response)\.metadata\..*|db\.query\.parameter.*|db\.postgresql\.values|messaging\.message\.(?:body|payload).*|db\.connection_string|db\.user|grpc\.error_message)$/;
const ADDRESS = /^(?:url\.full|url\.path|http\.(?:url|target))$/;
/** An expression as below takes stack for each character of a literal; what it throws would be the request's. */
const MOST_SQL = 16_384;
const STATEMENT = /^db\.(?:statement|query\.text)$/;

/**
 * The address without what follows "?" or "#", and without a login. What is in doubt goes: a port that is no number is a
 * password, whatever stands in it.
 */
export function redactAddress(address: string): string {
  return address
    .replace(/[?#].*$/s, '')
    .replace(/^((?:[a-z][\w+.-]*:)?\/\/)(?:[^/]*@|[^/@[]*:(?!\d*(?:\/|$))(?:.*@|.*))/is, '$1');
}

/**
 * The SQL, as PostgreSQL reads it, with "?" for each literal. What is in doubt goes: a comment; what follows when there is
 * another comment in it; the rest of a text that never ends; what is beyond 16384 characters. Other databases' texts in double quotes would stay.
 */
export function redactStatement(sql: string): string {
  return sql.slice(0, MOST_SQL).replace(
    /"(?:[^"]|"")*(?:"|$)|--[^\n]*|\/\*(?:(?!\/\*|\*\/)[\s\S])*\*\/|\/\*[\s\S]*|\$((?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?)\$[\s\S]*?(?:\$\1\$|$)|\b[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|(?<![\w$"])\d[\w.]*/g,
    // A name in double quotes stays, and an apostrophe in it opens no literal.
    (found) => (found.startsWith('"') && found.endsWith('"') && found.length > 1 ? found : '?'),
  );
}

/** What the value of an attribute is, by its key in the semantic conventions. */
export function sortOf(key: string): 'secret' | 'address' | 'statement' | 'plain' {
  if (SECRET.test(key)) return 'secret';
  if (ADDRESS.test(key)) return 'address';
  return STATEMENT.test(key) ? 'statement' : 'plain';
}

/** Attributes as they may be sent. */
export function redactAttributes(attributes: Attributes): Attributes {
  const kept: Attributes = {};
  for (const [key, value] of Object.entries(attributes)) {
    const sort = sortOf(key);
    if (sort === 'address') kept[key] = redactAddress(String(value));
    if (sort === 'statement') kept[key] = redactStatement(String(value));
    if (sort === 'plain') kept[key] = value;
  }
  return kept;
}

/**
 * The span as it may be sent: without query strings, literals, headers, parameters, people's addresses, and without the
 * words of errors, which quote what was wrong (`Key (email)=(ada@example.org) already exists`). Types and codes stay.
 */
export function redact(span: ReadableSpan): ReadableSpan {
  const { code } = span.status;
  return Object.create(span, {
    // A method of the span's own class, called on this object, would look for private parts that it hasn't.
    spanContext: { value: () => span.spanContext() },
    attributes: { value: redactAttributes(span.attributes), enumerable: true },
    status: { value: { code }, enumerable: true },
    links: {
      value: span.links.map((link) => ({ ...link, attributes: redactAttributes(link.attributes ?? {}) })),
      enumerable: true,
    },
    events: {
      value: span.events.map((event) => ({ ...event, attributes: redactAttributes(event.attributes ?? {}) })),
      enumerable: true,
    },
  });
}
