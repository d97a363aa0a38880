// A server on Node's ws that echoes every message with its own type, for the interoperability
// matrix.
//
//   node ws_echo.js [cert=FILE key=FILE] [deflate] [fragments]
//
// Listens on a free port of 127.0.0.1 and prints "listening PORT", then for each connection
// "extensions permessage-deflate" or "extensions none".
'use strict';
const fs = require('fs');
const { WebSocketServer } = require('ws');

const given = new Map(process.argv.slice(2).map((word) => word.split('=')));
const deflate = given.has('deflate');
const server = given.has('cert')
  ? require('https').createServer({
    cert: fs.readFileSync(given.get('cert')), key: fs.readFileSync(given.get('key')),
  })
  : require('http').createServer();
const echo = new WebSocketServer({
  server, perMessageDeflate: deflate && { threshold: 0 }, maxPayload: 64 << 20,
});

// A few fragments of different sizes, empty ones at both ends; characters are cut through.
function sendFragments(socket, data, binary) {
  let at = 0;
  socket.send('', { binary, compress: deflate, fin: false });
  while (at < data.length) {
    const end = Math.min(data.length, at + Math.ceil((data.length - at) / 3));
    socket.send(data.subarray(at, end), { binary, compress: deflate, fin: false });
    at = end;
  }
  socket.send('', { binary, compress: deflate, fin: true });
}

echo.on('connection', (socket) => {
  console.log(`extensions ${socket.extensions || 'none'}`);
  socket.on('message', (data, binary) => {
    if (given.has('fragments')) sendFragments(socket, data, binary);
    else socket.send(data, { binary, compress: deflate });
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
