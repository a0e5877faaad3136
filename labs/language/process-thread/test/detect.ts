// A program of the laws and of the demo: what it may compute on, as it sees it.
import { detectCpu } from '#lab';

console.log(JSON.stringify(detectCpu()));
