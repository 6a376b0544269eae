home-title = Start
