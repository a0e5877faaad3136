// An entry that has its process killed at the first two starts: the file of the URL's query counts them.
import { appendFileSync, readFileSync } from 'node:fs';

const starts = decodeURIComponent(new URL(import.meta.url).search.slice(1));
appendFileSync(starts, '.');
if (readFileSync(starts, 'utf8').length < 3) process.kill(process.pid, 'SIGKILL');
export default () => 'a burger';
