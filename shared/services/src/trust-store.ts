import { createHash, X509Certificate } from 'node:crypto';
import { getCACertificates } from 'node:tls';

const MAGIC = 0xfeedfeed;
const VERSION = 2;
const TRUSTED = 2;
/** The format wants one, and a store of public certificates has nothing to hide. */
const PASSWORD = 'changeit';

/**
 * A Java key store (JKS) of the certificate authorities that Node and this system trust. Debian's JRE comes without one:
 * a script of its installation makes it, and nothing is installed here.
 */
export function trustStore(): Buffer {
  const pems = new Set([...getCACertificates('default'), ...getCACertificates('system')]);
  const entries = [...pems].map((pem, index) => {
    const { raw } = new X509Certificate(pem);
    return Buffer.concat([int(TRUSTED), utf(`ca-${index}`), Buffer.alloc(8), utf('X.509'), int(raw.length), raw]);
  });
  const body = Buffer.concat([int(MAGIC), int(VERSION), int(entries.length), ...entries]);
  // The digest's salt is part of the format, as it stands in Java's own JavaKeyStore.
  const password = Buffer.from(PASSWORD, 'utf16le').swap16();
  const digest = createHash('sha1').update(password).update('Mighty Aphrodite').update(body).digest();
  return Buffer.concat([body, digest]);
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function utf(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
