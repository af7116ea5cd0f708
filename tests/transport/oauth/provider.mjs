// A real OpenID provider on loopback, for the tests: client credentials, JWT access tokens for one resource.
// node provider.mjs FOLDER RESOURCE ORDER; FOLDER holds node_modules. Prints its issuer as one line when it listens.
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, resource, order] = process.argv.slice(2)
const { Provider } = await import(pathToFileURL(join(folder, 'node_modules/oidc-provider/lib/index.js')))

const key = (kid, type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, use: 'sig',
})
const client = (client_id, scope) => ({
  client_id, client_secret: `${client_id}-secret`, scope,
  grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
})
const READ = 'orders:read'
const BOTH = 'orders:read orders:write'

// Each of these clients gets its tokens signed with another algorithm.
const ALGORITHMS = { writer: 'RS256', reader: 'ES256', narrow: 'PS256', stranger: 'RS256' }

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients: [client('writer', BOTH), client('reader', READ), client('narrow', BOTH), client('stranger', BOTH)],
    scopes: BOTH.split(' '),
    jwks: {
      keys: [
        key('rsa', 'rsa', { modulusLength: 2048 }),
        key('ec', 'ec', { namedCurve: 'P-256' }),
      ],
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        getResourceServerInfo: (ctx, indicator, { clientId }) => ({
          scope: BOTH,
          audience: clientId === 'stranger' ? 'https://other.example.com' : indicator,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: ALGORITHMS[clientId] } },
        }),
      },
    },
    extraTokenClaims: (ctx, token) => (token.clientId === 'narrow' ? { kustom_orders: [order] } : undefined),
  })
  server.on('request', provider.callback())
  console.log(issuer)
})
