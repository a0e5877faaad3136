import ipaddr from 'ipaddr.js';
import { InvalidArgumentError } from './errors.ts';

/** `203.0.113.7:4711` and `[2001:db8::1]:4711`, as some proxies write it. */
const WITH_PORT = /^(?:(\d+\.\d+\.\d+\.\d+)|\[(.+)\])(?::\d+)?$/;

function parse(text: string): ReturnType<typeof ipaddr.process> | undefined {
  const [, v4, v6] = WITH_PORT.exec(text.trim()) ?? [];
  const bare = v4 ?? v6 ?? text.trim();
  // `process` turns ::ffff:203.0.113.7 into 203.0.113.7. Four-part IPv4 only: 017.0.0.1 is read in two ways.
  const valid = ipaddr.IPv6.isValid(bare) || ipaddr.IPv4.isValidFourPartDecimal(bare);
  return valid ? ipaddr.process(bare) : undefined;
}

/** ::ffff:10.0.0.0/104 is 10.0.0.0/8, as `parse` makes IPv4 of the addresses that are compared with it. */
function plain([base, bits]: [ipaddr.IPv4 | ipaddr.IPv6, number]): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  return base instanceof ipaddr.IPv6 && base.isIPv4MappedAddress() && bits >= 96
    ? [base.toIPv4Address(), bits - 96]
    : [base, bits];
}

/**
 * One name for one client: an IPv4 address, also when it's written as IPv6, or the /64 of an IPv6 address, since a
 * household has 2^64 of those. What is no address (a user's id, an API key) stays as it is.
 */
export function clientName(client: string): string {
  const address = parse(client);
  if (!address) return client;
  if (address instanceof ipaddr.IPv4) return address.toString();
  return `${new ipaddr.IPv6([...address.parts.slice(0, 4), 0, 0, 0, 0]).toRFC5952String()}/64`;
}

/**
 * The address that a request came from: of the hops in `X-Forwarded-For`, the last that isn't a proxy of ours. What
 * stands before it was written by the client, who may write anything.
 *
 * @param remote the address of the socket
 * @param forwardedFor the header `X-Forwarded-For`
 * @param trusted networks of our own proxies, such as `10.0.0.0/8`. Default none: the header is ignored.
 * @returns undefined when our own proxies can't say: don't ban them for it.
 * @throws InvalidArgumentError on a network that is none.
 */
export function clientAddress(
  remote: string,
  forwardedFor: string | undefined,
  trusted: readonly string[] = [],
): string | undefined {
  const networks = trusted.map((network) => {
    // Four-part IPv4 only here too: 10/8 would be 0.0.0.10/8, and 010.0.0.0/8 would be 8.0.0.0/8.
    if (ipaddr.IPv6.isValidCIDR(network) || ipaddr.IPv4.isValidCIDRFourPartDecimal(network)) {
      return plain(ipaddr.parseCIDR(network));
    }
    throw new InvalidArgumentError(`${network} is no network: write 10.0.0.0/8 or 2001:db8::/32.`);
  });
  const chain = [...(forwardedFor?.split(',') ?? []), remote];
  for (const hop of chain.toReversed()) {
    const address = parse(hop);
    if (!address) return undefined;
    const ours = networks.some(([base, bits]) => base.kind() === address.kind() && address.match(base, bits));
    if (!ours) return address.toString();
  }
  return parse(chain[0] ?? '')?.toString();
}
