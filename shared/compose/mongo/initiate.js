// For mongosh --nodb. Initiates the replica set once and returns when it has a primary and two secondaries;
// a replica set that exists is left as it is, so running this again is harmless.

// The members' names are what drivers connect to next: addresses that mean the same on the host and in the containers.
const HOSTS = ['127.0.0.1:47017', '127.0.0.1:47018', '127.0.0.1:47019'];
const TRIES = 300; // at 200 ms: one minute, plus what the server takes to answer
const NOT_YET_INITIALIZED = 94;
const ALREADY_INITIALIZED = 23;

/** A connection to one member itself, not to the set that it may belong to. */
function member(host) {
  let failure;
  for (let i = 0; i < TRIES; i++) {
    try {
      const admin = new Mongo(`mongodb://${host}/?directConnection=true&serverSelectionTimeoutMS=1000`).getDB('admin');
      admin.runCommand({ ping: 1 });
      return admin;
    } catch (error) {
      failure = error;
      sleep(200);
    }
  }
  throw new Error(`${host} did not answer within a minute: ${failure}`);
}

/** What the server answers, its refusals included. */
function ask(admin, command) {
  try {
    // Through a variable: mongosh awaits behind the scenes, but not what a `return` passes on, and `catch` would miss it.
    const answer = admin.runCommand(command);
    return answer;
  } catch (error) {
    if (typeof error.code !== 'number') throw error;
    return { ok: 0, code: error.code, errmsg: error.message };
  }
}

/** The states of the members, sorted, as one member sees them; empty while the set is not initiated. */
function states(admin) {
  const status = ask(admin, { replSetGetStatus: 1 });
  if (status.code === NOT_YET_INITIALIZED) return [];
  if (status.ok !== 1) throw new Error(`replSetGetStatus: ${status.errmsg}`);
  return status.members.map((m) => m.stateStr).sort();
}

const admins = HOSTS.map(member);
const admin = admins[0];

if (states(admin).length === 0) {
  const members = HOSTS.map((host, _id) => ({ _id, host }));
  const answer = ask(admin, { replSetInitiate: { _id: 'labs', members } });
  // A member that restarts knows of its set only once it has read its own configuration again.
  if (answer.ok !== 1 && answer.code !== ALREADY_INITIALIZED) throw new Error(`replSetInitiate: ${answer.errmsg}`);
}

let seen = [];
for (let i = 0; i < TRIES; i++) {
  seen = states(admin);
  if (seen.join() === 'PRIMARY,SECONDARY,SECONDARY') break;
  sleep(200);
}
if (seen.join() !== 'PRIMARY,SECONDARY,SECONDARY') {
  throw new Error(
    `the replica set has ${seen.join(', ')} after a minute. To begin anew: docker compose --profile mongo down --volumes`,
  );
}
print(`replica set labs: ${HOSTS.join(', ')}`);
