# For puma: puma -b tcp://127.0.0.1:PORT config.ru
require_relative 'app'
run APP
