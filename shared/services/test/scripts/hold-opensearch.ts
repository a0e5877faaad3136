// Starts an OpenSearch, makes an index under its prefix if the environment names the server, says its prefix, and stays.
import { startOpenSearch } from '../../src/index.ts';

const { origin, url, namespace, node } = await startOpenSearch();
if (origin === 'url') await fetch(`${url}/${namespace}left`, { method: 'PUT' });
else await node.pause();
console.log(JSON.stringify(namespace));
setInterval(() => {}, 1000);
