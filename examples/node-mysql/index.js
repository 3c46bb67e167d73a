// Says what the database says of itself when somebody connects: its greeting has its version at the sixth byte.
const net = require("net");

function greeting(answer) {
  const database = net.connect(3306, process.env.MYSQL_HOST);
  database.on("error", (error) => answer.writeHead(503).end(`no database yet: ${error.message}\n`));
  database.once("data", (hello) => {
    const version = hello.subarray(5, hello.indexOf(0, 5)).toString();
    answer.end(`todos in ${process.env.MYSQL_DB} of ${version}\n`);
    database.destroy();
  });
}

require("http").createServer((_, answer) => greeting(answer)).listen(3000);
