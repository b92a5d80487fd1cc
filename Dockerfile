# The agent's image: Node and one file. Built without network (`npm run image`); `npm run build` makes dist/ first.
FROM node:26-bookworm-slim

ENV NODE_ENV=production
# What V8 made of the bundle, kept: the agent starts sooner, and the health check takes half its processor time. Where the
# image runs as another user or on another kind of processor than it was built on, V8 makes it again.
ENV NODE_COMPILE_CACHE=/usr/local/lib/flotilla/cache

COPY dist/flotilla.mjs /usr/local/lib/flotilla/flotilla.mjs

# For people: `docker exec <agent> flotilla keys list`.
RUN ln -s /usr/local/lib/flotilla/flotilla.mjs /usr/local/bin/flotilla && mkdir -p /data /run/flotilla \
  && node /usr/local/lib/flotilla/flotilla.mjs agent --help > /dev/null

# What must survive the container: which Portainer server the agents belong to.
VOLUME /data

# The compat listener. Peers (9002) and gossip (7946) stay on the cluster's own network and are never published.
EXPOSE 9001

# Swarm gives a task its DNS name only once it is healthy, and the first look comes after one interval: others would
# wait that long to find this agent.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
  CMD ["node", "/usr/local/lib/flotilla/flotilla.mjs", "health"]

# Arguments are the agent's flags, as with the agent that it replaces: `docker run <image> --log-level DEBUG`.
ENTRYPOINT ["node", "/usr/local/lib/flotilla/flotilla.mjs", "agent"]
