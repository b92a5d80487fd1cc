// The version of this agent: told to peers, in `Flotilla-Version`, and by `flotilla version`. Equal to package.json's.

export const agentVersion = '0.1.0';
